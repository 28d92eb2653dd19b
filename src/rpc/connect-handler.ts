import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { createRegistry, type DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import {
  createAsyncIterable,
  encodeEnvelope,
  readAllBytes,
  type UniversalHandler,
  type UniversalServerRequest,
  type UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { refused, unreadable } from "./errors.ts";
import { clampGrpcTimeout, clampMilliseconds, longestDeadline, MAX_MESSAGE_BYTES } from "./limits.ts";
import { canonicalAddress, peerAddress, protocol } from "./peer.ts";
import type { Routes } from "./routes.ts";

/** Answers one HTTP request for an RPC. */
export type RpcHandler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

/** Builds a handler for the path of each RPC, over Connect and gRPC-Web. */
export function createRpcHandlers(
  { services, interceptors }: Routes,
  maxMessageBytes = MAX_MESSAGE_BYTES,
): ReadonlyMap<string, RpcHandler> {
  const router = createConnectRouter({
    grpc: false,
    interceptors: [markOutcome, ...interceptors],
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: maxMessageBytes,
    // Answers hold secrets beside what a caller chose: compressed, their length would tell of them (BREACH).
    compressMinBytes: 0xffffffff,
    jsonOptions: {
      registry: createRegistry(file_google_rpc_error_details, ...services.map(({ desc }) => desc.file)),
      ignoreUnknownFields: false,
      ...{ textDecoder: new TextDecoder("utf-8", { fatal: true }) },
    },
  });
  for (const { desc, impl } of services) router.service(desc, impl);
  return new Map(
    router.handlers.map((handler) => [handler.requestPath, (req, res) => serve(handler, maxMessageBytes, req, res)]),
  );
}

/** What the interceptors made of a call: nothing when it did not come so far. */
const outcome = createContextKey<"answered" | "refused" | undefined>(undefined, { description: "outcome" });

const markOutcome: Interceptor = (next) => async (req) => {
  try {
    const res = await next(req);
    req.contextValues.set(outcome, "answered");
    return res;
  } catch (error) {
    req.contextValues.set(outcome, "refused");
    throw error;
  }
};

async function serve(
  handler: UniversalHandler,
  maxMessageBytes: number,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const isGrpcWeb = /^application\/grpc-web/i.test(req.headers["content-type"] ?? "");
  boundDeadline(req.headers, handler.method, isGrpcWeb);
  res.setHeader("cache-control", "no-store");
  const contextValues = createContextValues()
    .set(peerAddress, canonicalAddress(req.socket.remoteAddress))
    .set(protocol, isGrpcWeb ? "grpc-web" : "connect");
  // Connect's own iterator destroys a request that it reads no further, and with it what the client still sends.
  const body = req.iterator({ destroyOnReturn: false });
  const request = { ...universalRequestFromNodeRequest(req, res, undefined, contextValues), contextValues, body };
  const isUnary = handler.method.methodKind === "unary";
  const answer = await (isUnary ? answerUnary(handler, maxMessageBytes, request) : handler(request));
  await universalResponseToNodeResponse({ ...answer, ...(answer.body && { body: withdrawable(answer.body) }) }, res);
}

/**
 * The same chunks. Connect throws a failed write into the handler, which would log it as a failure of its own; here the
 * handler is only told that nobody wants more.
 */
async function* withdrawable(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) yield chunk;
}

/**
 * The answer, unless Connect has refused the call past the interceptors, for what it could not read or encode. Such a
 * call is made again without its message, for the errors interceptor to refuse it: with the same details as on every
 * transport, and logged.
 */
async function answerUnary(handler: UniversalHandler, maxMessageBytes: number, request: RpcRequest) {
  const answer = await whole(await handler(request));
  const { contextValues } = request;
  const reached = contextValues.get(outcome);
  const error = reached !== "refused" && answer.bytes && errorIn(answer.bytes, answer.status);
  if (!error) return answer;
  contextValues.set(refused, reached ? new Error(error.rawMessage) : refusalOf(error, maxMessageBytes));
  return whole(await handler(emptied(request)));
}

/** The same answer with its bytes; it tells its length, since only then is it known that it is short. */
async function whole(answer: UniversalServerResponse): Promise<UniversalServerResponse & { bytes?: Uint8Array }> {
  if (!answer.body) return answer;
  const bytes = await readAllBytes(answer.body, Number.MAX_SAFE_INTEGER);
  const header = new Headers(answer.header);
  header.set("content-length", String(bytes.length));
  return { ...answer, header, body: createAsyncIterable([bytes]), bytes };
}

interface RpcRequest extends UniversalServerRequest {
  readonly contextValues: ContextValues;
}

function boundDeadline(headers: IncomingHttpHeaders, method: DescMethod, isGrpcWeb: boolean): void {
  const name = isGrpcWeb ? "grpc-timeout" : "connect-timeout-ms";
  const longest = longestDeadline(method.methodKind);
  const given = headers[name];
  if (given !== undefined)
    headers[name] = (isGrpcWeb ? clampGrpcTimeout : clampMilliseconds)(String(given), longest) ?? given;
  else if (method.methodKind === "unary") headers[name] = isGrpcWeb ? `${longest}m` : String(longest);
}

function emptied(request: RpcRequest): RpcRequest {
  const header = new Headers(request.header);
  for (const name of ABOUT_MESSAGE) header.delete(name);
  const message = new TextEncoder().encode(header.get("content-type")?.includes("json") ? "{}" : "");
  const isFramed = request.contextValues.get(protocol) === "grpc-web";
  return { ...request, header, body: createAsyncIterable([isFramed ? encodeEnvelope(0, message) : message]) };
}

const ABOUT_MESSAGE = ["content-length", "content-encoding", "grpc-encoding", "connect-timeout-ms", "grpc-timeout"];

function errorIn(body: Uint8Array, status: number): ConnectError | undefined {
  if (status !== 200) return errorFromJsonBytes(body, undefined, new ConnectError("", Code.Internal));
  // gRPC-Web always answers 200: a refusal is a frame of trailers alone, whose head is five bytes.
  return body[0] === trailerFlag ? findTrailerError(trailerParse(body.subarray(5))) : undefined;
}

function refusalOf(error: ConnectError, maxMessageBytes: number): ConnectError {
  // No handler has run, so that an error of the service's own can only be a message that it could not read.
  if (error.code === Code.Internal || error.code === Code.InvalidArgument) return unreadable(error);
  const isTooLarge = error.code === Code.ResourceExhausted;
  return new ConnectError(isTooLarge ? `Message above ${maxMessageBytes} bytes` : error.rawMessage, error.code);
}
