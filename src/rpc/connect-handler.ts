import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { createRegistry, type DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
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
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { invalidPayload, unreadable } from "./errors.ts";
import { clampGrpcTimeout, clampMilliseconds, longestDeadline, MAX_MESSAGE_BYTES } from "./limits.ts";
import { canonicalAddress, peerAddress, protocol } from "./peer.ts";
import type { Routes } from "./routes.ts";

/** Answers one HTTP request for an RPC. */
export type RpcHandler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

/** Builds a handler for the path of each RPC, over Connect and gRPC-Web. */
export function createRpcHandlers({ services, interceptors }: Routes): ReadonlyMap<string, RpcHandler> {
  const router = createConnectRouter({
    grpc: false,
    interceptors: [markReached, ...interceptors],
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: MAX_MESSAGE_BYTES,
    // Answers hold secrets beside what a caller chose: compressed, their length would tell of them (BREACH).
    compressMinBytes: 0xffffffff,
    jsonOptions: {
      registry: createRegistry(file_google_rpc_error_details, ...services.map(({ desc }) => desc.file)),
      ignoreUnknownFields: false,
      ...{ textDecoder: new TextDecoder("utf-8", { fatal: true }) },
    },
  });
  for (const { desc, impl } of services) router.service(desc, impl);
  return new Map(router.handlers.map((handler) => [handler.requestPath, (req, res) => serve(handler, req, res)]));
}

/** Whether a call came as far as the interceptors. */
const reached = createContextKey(false, { description: "reached" });

const markReached: Interceptor = (next) => (req) => {
  req.contextValues.set(reached, true);
  return next(req);
};

async function serve(handler: UniversalHandler, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const isGrpcWeb = req.headers["content-type"]?.startsWith("application/grpc-web") ?? false;
  boundDeadline(req.headers, handler.method, isGrpcWeb);
  const contextValues = createContextValues()
    .set(peerAddress, canonicalAddress(req.socket.remoteAddress))
    .set(protocol, isGrpcWeb ? "grpc-web" : "connect");
  const request = { ...universalRequestFromNodeRequest(req, res, undefined, contextValues), contextValues };
  const response = await handler(request);
  if (!response.body) return void (await universalResponseToNodeResponse(withBody(response), res));
  if (contextValues.get(reached)) return void (await universalResponseToNodeResponse(response, res));
  contextValues.set(unreadable, await refusalIn(response.body, response.status));
  await universalResponseToNodeResponse(await handler(emptied(request, isGrpcWeb)), res);
}

function boundDeadline(headers: IncomingHttpHeaders, method: DescMethod, isGrpcWeb: boolean): void {
  const name = isGrpcWeb ? "grpc-timeout" : "connect-timeout-ms";
  const longest = longestDeadline(method.methodKind);
  const given = headers[name] === undefined ? undefined : String(headers[name]);
  if (given === undefined && method.methodKind !== "unary") return;
  const clamp = isGrpcWeb ? clampGrpcTimeout : clampMilliseconds;
  headers[name] =
    given === undefined ? clamp(`${longest}${isGrpcWeb ? "m" : ""}`, longest) : (clamp(given, longest) ?? given);
}

/**
 * The same call without its message. Connect answers what it cannot read by itself, past the interceptors: the call is
 * made again, to be refused by the errors interceptor with the same details as on every transport, and to be logged.
 */
function emptied(request: UniversalServerRequest, isGrpcWeb: boolean): UniversalServerRequest {
  const header = new Headers(request.header);
  for (const name of ABOUT_MESSAGE) header.delete(name);
  const message = new TextEncoder().encode(header.get("content-type")?.includes("json") ? "{}" : "");
  return { ...request, header, body: createAsyncIterable([isGrpcWeb ? encodeEnvelope(0, message) : message]) };
}

const ABOUT_MESSAGE = ["content-length", "content-encoding", "grpc-encoding", "connect-timeout-ms", "grpc-timeout"];

async function refusalIn(body: AsyncIterable<Uint8Array>, status: number): Promise<ConnectError> {
  const bytes = await readAllBytes(body, MAX_MESSAGE_BYTES);
  const unknown = new ConnectError("", Code.Internal);
  // gRPC-Web always answers 200, here with trailers alone; a frame's head is five bytes.
  const told =
    status === 200 ? findTrailerError(trailerParse(bytes.subarray(5))) : errorFromJsonBytes(bytes, undefined, unknown);
  // Before any handler has run, an error of the service's own can only be a message that it could not read.
  if (!told || told.code === Code.Internal || told.code === Code.InvalidArgument) return invalidPayload();
  if (told.code === Code.ResourceExhausted)
    return new ConnectError(`Message above ${MAX_MESSAGE_BYTES} bytes`, told.code);
  return new ConnectError(told.rawMessage, told.code);
}

const PLAIN_REFUSALS: Readonly<Record<number, { detail: string; code: string }>> = {
  405: { detail: "Method not allowed", code: "METHOD_NOT_ALLOWED" },
  415: { detail: "Unsupported media type", code: "UNSUPPORTED_MEDIA_TYPE" },
};

function withBody(response: UniversalServerResponse): UniversalServerResponse {
  const refusal = PLAIN_REFUSALS[response.status] ?? { detail: "Invalid request", code: "INVALID_ARGUMENT" };
  const header = new Headers(response.header);
  header.set("content-type", "application/json");
  if (response.status === 405) header.set("allow", "POST");
  return { ...response, header, body: createAsyncIterable([new TextEncoder().encode(JSON.stringify(refusal))]) };
}
