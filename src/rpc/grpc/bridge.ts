import { create, type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextValues,
  createServiceImplSpec,
  type Interceptor,
  type MethodImplSpec,
  type StreamResponse,
} from "@connectrpc/connect";
import type {
  Server,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  StatusObject,
  sendUnaryData,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Log } from "../../log.ts";
import { type Call, runServerStream, runUnary, type ServerStreamSpec, type UnarySpec } from "../call.ts";
import { invalidPayload, refused } from "../errors.ts";
import { DEADLINE_GRACE_MS } from "../limits.ts";
import { canonicalAddress, peerAddress, protocol } from "../peer.ts";
import { refusal } from "../reasons.ts";
import type { Routes } from "../routes.ts";
import { rpcName } from "../rpc-name.ts";
import { toHeaders, toMetadata } from "./metadata.ts";
import { toStatus } from "./status.ts";

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type StreamCall = ServerWritableStream<Buffer, Buffer>;

/** Serves routes on a grpc-js server: the same handlers and interceptors as on the HTTP listener. */
export function addRoutes(server: Server, { services, interceptors }: Routes, log: Log): void {
  for (const { desc, impl } of services) {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const handlers: UntypedServiceImplementation = {};
    for (const spec of Object.values(createServiceImplSpec(desc, impl).methods)) {
      definition[spec.method.name] = methodDefinition(spec.method);
      handlers[spec.method.name] = createHandler(spec, interceptors, log);
    }
    server.addService(definition, handlers);
  }
}

// Bytes pass through grpc-js untouched: messages are parsed here, so that failures read the same on both listeners.
function methodDefinition(method: DescMethod): ServiceDefinition[string] {
  return {
    path: `/${rpcName(method)}`,
    requestStream: false,
    responseStream: method.methodKind === "server_streaming",
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

function same(bytes: Buffer): Buffer {
  return bytes;
}

// grpc-js does not wait for handlers: a promise that is rejected would end the process.
function createHandler(spec: MethodImplSpec, interceptors: readonly Interceptor[], log: Log): UntypedHandleCall {
  const lose = (error: unknown) => log.error({ rpc: spec.method.toString(), error }, "call failed");
  if (spec.kind === "unary") {
    return (call: UnaryCall, reply: sendUnaryData<Buffer>) => {
      serveUnary(spec, interceptors, log, call, reply).catch(lose);
    };
  }
  if (spec.kind === "server_streaming") {
    return (call: StreamCall) => {
      serveStream(spec, interceptors, log, call).catch(lose);
    };
  }
  throw new TypeError(`${spec.method} streams requests, which the bridge does not carry`);
}

async function serveUnary(
  spec: UnarySpec,
  interceptors: readonly Interceptor[],
  log: Log,
  call: UnaryCall,
  reply: sendUnaryData<Buffer>,
): Promise<void> {
  const { rpc, release } = openCall(call);
  try {
    const message = parse(spec.method.input, call.request, rpc);
    const response = await runUnary(interceptors, spec, message, rpc);
    const bytes = serialize(spec.method.output, response.message);
    sendHeader(call, response.header);
    reply(null, bytes, toMetadata(response.trailer));
  } catch (error) {
    sendError(call, rpc, error, reply);
    logUnexpected(log, spec.method, error);
  } finally {
    release();
  }
}

async function serveStream(
  spec: ServerStreamSpec,
  interceptors: readonly Interceptor[],
  log: Log,
  call: StreamCall,
): Promise<void> {
  const { rpc, release } = openCall(call);
  try {
    const message = parse(spec.method.input, call.request, rpc);
    const response = await runServerStream(interceptors, spec, message, rpc);
    await writeAll(spec, response, call, rpc.signal);
    call.end(toMetadata(response.trailer));
  } catch (error) {
    // grpc-js makes the call's status of an "error" event; destroy(error) would lose it.
    sendError(call, rpc, error, (status) => call.destroyed || call.emit("error", status));
    logUnexpected(log, spec.method, error);
  } finally {
    release();
  }
}

async function writeAll(spec: ServerStreamSpec, response: StreamResponse, call: StreamCall, signal: AbortSignal) {
  let isHeaderSent = false;
  for await (const message of response.message) {
    if (call.cancelled) return;
    if (!isHeaderSent) sendHeader(call, response.header);
    isHeaderSent = true;
    if (!call.write(serialize(spec.method.output, message))) await roomIn(call, signal);
  }
  if (!isHeaderSent) sendHeader(call, response.header);
}

/** Resolves when the client reads on; a call that is over never says so, hence the other two events. */
function roomIn(call: StreamCall, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const settle = () => {
    call.off("drain", settle).off("close", settle);
    signal.removeEventListener("abort", settle);
    if (signal.aborted) reject(signal.reason);
    else resolve();
  };
  call.on("drain", settle).on("close", settle);
  signal.addEventListener("abort", settle);
  if (signal.aborted || call.destroyed) settle();
  return promise;
}

function openCall(call: UnaryCall | StreamCall): { rpc: Call; release: () => void } {
  const deadline = Number(call.getDeadline()) - DEADLINE_GRACE_MS;
  const { signal, release } = callSignal(call, deadline);
  const address = canonicalAddress(call.getPeer().replace(/:\d+$/, ""));
  const rpc: Call = {
    protocolName: "grpc",
    url: `http://${call.getHost()}${call.getPath()}`,
    header: toHeaders(call.metadata),
    signal,
    contextValues: createContextValues().set(peerAddress, address).set(protocol, "grpc"),
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    timeoutMs: () => (deadline === Infinity ? undefined : deadline - Date.now()),
  };
  return { rpc, release };
}

// grpc-js says "cancelled" for a reset and after every normal end, not for a deadline while the client does not read.
function callSignal(call: UnaryCall | StreamCall, deadline: number): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const expire = () => controller.abort(refusal("DEADLINE_EXCEEDED"));
  const cancel = () => {
    // A client resets its call at the same moment as our timer goes off.
    if (Date.now() >= deadline - 5) expire();
    else controller.abort(new ConnectError("Canceled", Code.Canceled));
  };
  const timer = deadline === Infinity ? undefined : setTimeout(expire, Math.max(0, deadline - Date.now()));
  call.once("cancelled", cancel);
  const release = () => {
    clearTimeout(timer);
    call.off("cancelled", cancel);
  };
  return { signal: controller.signal, release };
}

function parse<I extends DescMessage>(input: I, bytes: Buffer, { contextValues }: Call): MessageShape<I> {
  try {
    // A plain Uint8Array, or every bytes field of the message would be a Buffer.
    return fromBinary(input, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch {
    contextValues.set(refused, invalidPayload());
    return create(input);
  }
}

function serialize<O extends DescMessage>(output: O, message: MessageShape<O>): Buffer {
  const bytes = toBinary(output, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function sendHeader(call: UnaryCall | StreamCall, header: Headers): void {
  const metadata = toMetadata(header);
  if (metadata) call.sendMetadata(metadata);
}

/** Ends a call with an error; one that cannot be sent as it is ends as INTERNAL, since its caller would wait for it. */
function sendError(
  call: UnaryCall | StreamCall,
  rpc: Call,
  error: unknown,
  send: (status: StatusObject) => void,
): void {
  let status: StatusObject | undefined;
  try {
    sendHeader(call, rpc.responseHeader);
    status = toStatus(error, rpc.responseTrailer);
  } finally {
    send(status ?? toStatus(undefined, new Headers()));
  }
}

// The errors interceptor has logged whatever comes out of it; this is about all after it, such as encoding the answer.
function logUnexpected(log: Log, method: DescMethod, error: unknown): void {
  if (!(error instanceof ConnectError)) log.error({ rpc: rpcName(method), error }, "call failed");
}
