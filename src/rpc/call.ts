import { create, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import type {
  ContextValues,
  HandlerContext,
  Interceptor,
  MethodImplSpec,
  StreamRequest,
  StreamResponse,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";

/** One call as interceptors see it. */
type AnyFn = ReturnType<Interceptor>;

/** A unary RPC: its descriptor and its handler. */
export type UnarySpec = Extract<MethodImplSpec, { kind: "unary" }>;

/** A server-streaming RPC: its descriptor and its handler. */
export type ServerStreamSpec = Extract<MethodImplSpec, { kind: "server_streaming" }>;

/** What a call carries beside its messages. */
export interface Call {
  readonly protocolName: string;
  readonly url: string;
  readonly header: Headers;
  readonly signal: AbortSignal;
  readonly contextValues: ContextValues;
  readonly responseHeader: Headers;
  readonly responseTrailer: Headers;
  timeoutMs(): number | undefined;
}

/** Sends one message through interceptors, the first of them outermost, to a unary handler. */
export async function runUnary(
  interceptors: readonly Interceptor[],
  spec: UnarySpec,
  message: Message,
  call: Call,
): Promise<UnaryResponse> {
  const { method } = spec;
  const handle = async (req: UnaryRequest | StreamRequest): Promise<UnaryResponse> => {
    if (req.stream) throw new TypeError(`${method.name} takes one message`);
    const answer = await spec.impl(req.message, handlerContext(req, call));
    return { stream: false, method, message: create(method.output, answer), ...responseCommon(method, call) };
  };
  const response = await chain(
    interceptors,
    handle,
  )({ stream: false, method, message, ...requestCommon(method, call) });
  if (response.stream) throw new TypeError(`${method.name} answers one message`);
  return response;
}

/** Sends one message through interceptors, the first of them outermost, to a server-streaming handler. */
export async function runServerStream(
  interceptors: readonly Interceptor[],
  spec: ServerStreamSpec,
  message: Message,
  call: Call,
): Promise<StreamResponse> {
  const { method } = spec;
  const handle = async (req: UnaryRequest | StreamRequest): Promise<StreamResponse> => {
    const input = req.stream ? await first(req.message) : undefined;
    if (!input) throw new TypeError(`${method.name} takes a stream of one message`);
    const answers = toMessages(method.output, spec.impl(input, handlerContext(req, call)));
    return { stream: true, method, message: answers, ...responseCommon(method, call) };
  };
  const request = { stream: true as const, method, message: only(message), ...requestCommon(method, call) };
  const response = await chain(interceptors, handle)(request);
  if (!response.stream) throw new TypeError(`${method.name} answers a stream`);
  return response;
}

function chain(interceptors: readonly Interceptor[], handle: AnyFn): AnyFn {
  return interceptors.reduceRight((next, interceptor) => interceptor(next), handle);
}

function requestCommon(method: UnarySpec["method"] | ServerStreamSpec["method"], call: Call) {
  const { url, header, signal, contextValues } = call;
  return { service: method.parent, requestMethod: "POST", url, header, signal, contextValues };
}

function responseCommon(method: UnarySpec["method"] | ServerStreamSpec["method"], call: Call) {
  return { service: method.parent, header: call.responseHeader, trailer: call.responseTrailer };
}

function handlerContext(req: UnaryRequest | StreamRequest, call: Call): HandlerContext {
  return {
    method: req.method,
    service: req.service,
    requestMethod: req.requestMethod,
    url: req.url,
    signal: req.signal,
    requestHeader: req.header,
    values: req.contextValues,
    protocolName: call.protocolName,
    responseHeader: call.responseHeader,
    responseTrailer: call.responseTrailer,
    timeoutMs: call.timeoutMs,
  };
}

async function first<T>(values: AsyncIterable<T>): Promise<T | undefined> {
  for await (const value of values) return value;
  return undefined;
}

async function* only<T>(value: T): AsyncGenerator<T> {
  yield value;
}

async function* toMessages<O extends DescMessage>(output: O, inits: AsyncIterable<MessageInitShape<O>>) {
  for await (const init of inits) yield create(output, init);
}
