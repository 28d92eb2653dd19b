import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { UNARY_DEADLINE_MS } from "../../src/rpc/limits.ts";
import { refusal } from "../../src/rpc/reasons.ts";
import type { Service } from "../../src/rpc/routes.ts";
import {
  type Error as AskedError,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  type ConformancePayloadSchema,
  ConformanceService,
  type Header,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "./gen/connectrpc/conformance/v1/service_pb.ts";

type Payload = MessageInitShape<typeof ConformancePayloadSchema>;
type RequestInfo = ConformancePayload_RequestInfo;

const impl: Partial<ServiceImpl<typeof ConformanceService>> = {
  async unary(request, context) {
    const info = requestInfo(UnaryRequestSchema, request, context);
    return { payload: await answer(request.responseDefinition, info, context) };
  },
  async idempotentUnary(request, context) {
    const info = requestInfo(IdempotentUnaryRequestSchema, request, context);
    return { payload: await answer(request.responseDefinition, info, context) };
  },
  async *serverStream(request, context) {
    const info = requestInfo(ServerStreamRequestSchema, request, context);
    const asked = request.responseDefinition;
    if (!asked) return;
    setMetadata(context, asked);
    for (const [index, data] of asked.responseData.entries()) {
      await pause(asked.responseDelayMs, context.signal);
      yield { payload: { data, ...(index === 0 && { requestInfo: info }) } };
    }
    if (asked.error) throw toError(asked.error, asked.responseData.length === 0 ? info : undefined);
  },
};

/** The suite's service, with the kinds of call that the API has: unary and server-streaming. */
export const conformanceService: Service = {
  desc: {
    ...ConformanceService,
    methods: ConformanceService.methods.filter(({ methodKind }) => /^(unary|server_streaming)$/.test(methodKind)),
  },
  impl: impl as Service["impl"],
};

async function answer(
  asked: UnaryResponseDefinition | undefined,
  info: RequestInfo,
  context: HandlerContext,
): Promise<Payload> {
  if (!asked) return { requestInfo: info };
  setMetadata(context, asked);
  await pause(asked.responseDelayMs, context.signal);
  const { response } = asked;
  if (response.case === "error") throw toError(response.value, info);
  return { requestInfo: info, ...(response.case === "responseData" && { data: response.value }) };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

interface Metadata {
  readonly responseHeaders: readonly Header[];
  readonly responseTrailers: readonly Header[];
}

function setMetadata(context: HandlerContext, { responseHeaders, responseTrailers }: Metadata): void {
  append(context.responseHeader, responseHeaders);
  append(context.responseTrailer, responseTrailers);
}

function append(headers: Headers, added: readonly Header[]): void {
  for (const { name, value } of added) for (const each of value) headers.append(name, each);
}

/** The error that a case asks for, with a reason: the errors interceptor lets no other pass as it is. */
function toError({ code, message, details }: AskedError, info: RequestInfo | undefined): ConnectError {
  const reason = refusal("INTERNAL").details;
  const error = new ConnectError(message ?? "", code as number);
  error.details.push(...details.map(({ typeUrl, value }) => ({ type: typeUrl.replace(/^.*\//, ""), value })));
  if (info) error.details.push({ desc: ConformancePayload_RequestInfoSchema, value: info });
  error.details.push(...reason);
  return error;
}

function requestInfo<D extends DescMessage>(desc: D, request: MessageShape<D>, context: HandlerContext): RequestInfo {
  const timeoutMs = askedTimeout(context.timeoutMs());
  return create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: toHeaders(context.requestHeader),
    ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.floor(timeoutMs)) }),
    requests: [anyPack(desc, request)],
    ...(context.requestMethod === "GET" && {
      connectGetInfo: { queryParams: toHeaders(new URL(context.url).searchParams) },
    }),
  });
}

// A call without a deadline is given one here, which the suite does not expect to be told of; its own are far shorter.
function askedTimeout(ms: number | undefined): number | undefined {
  return ms !== undefined && ms < UNARY_DEADLINE_MS / 2 ? ms : undefined;
}

function toHeaders(entries: Iterable<[string, string]>) {
  return [...entries].map(([name, value]) => ({ name, value: [value] }));
}
