import { connect as connectHttp2, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp } from "node:net";
import { setImmediate } from "node:timers/promises";
import { create, createFileRegistry, type DescService, type MessageInitShape } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  FileDescriptorProtoSchema,
  file_google_protobuf_wrappers,
  type StringValueSchema,
} from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, type HandlerContext, type ServiceImpl, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { AuthService, type SignInRequest, type SignInResponseSchema } from "../../gen/auth/v1/auth_service_pb.ts";
import type { Log } from "../../src/log.ts";
import { createAccessLog } from "../../src/rpc/access-log.ts";
import { unaryDeadline } from "../../src/rpc/deadline.ts";
import { createErrors, endRefused } from "../../src/rpc/errors.ts";
import { createInvoke } from "../../src/rpc/invoke.ts";
import type { Routes, Service } from "../../src/rpc/routes.ts";
import { packDetail } from "../../src/rpc/wire-error.ts";
import { type Server, type ServerOptions, startServer } from "../../src/server/server.ts";
import { createTestLog, type Line } from "./log.ts";

type SignInAnswer = MessageInitShape<typeof SignInResponseSchema>;

/** Handlers that a test puts in; the other RPCs are not implemented. */
export interface Handlers {
  signIn(request: SignInRequest, context: HandlerContext): SignInAnswer | Promise<SignInAnswer>;
  watch(context: HandlerContext): AsyncIterable<{ value: string }>;
}

/** A server of fake handlers behind the real interceptors, on real sockets. */
export interface Wire {
  readonly server: Server;
  readonly routes: Routes;
  readonly handlers: Handlers;
  readonly lines: Line[];
}

/** Thrown by a handler when a test wants the database to be away. */
export class DatabaseAway extends Error {}

const FEED_FILE = create(FileDescriptorProtoSchema, {
  name: "test/v1/feed.proto",
  package: "test.v1",
  syntax: "proto3",
  dependency: ["google/protobuf/wrappers.proto"],
  service: [
    {
      name: "Feed",
      method: [
        {
          name: "Watch",
          inputType: ".google.protobuf.StringValue",
          outputType: ".google.protobuf.StringValue",
          serverStreaming: true,
        },
      ],
    },
  ],
});

type FeedService = GenService<{
  watch: { methodKind: "server_streaming"; input: typeof StringValueSchema; output: typeof StringValueSchema };
}>;

/** A service with one server-streaming RPC, `Watch`. */
export const Feed = makeFeed();

function makeFeed(): FeedService {
  const { proto } = file_google_protobuf_wrappers;
  const feed = createFileRegistry(FEED_FILE, (name) => (name === proto.name ? proto : undefined)).getService(
    "test.v1.Feed",
  );
  if (!feed) throw new Error("the descriptor is broken");
  return feed as FeedService;
}

/** Starts a server whose handlers answer with the caller's login, until a test replaces them. */
export async function startWire(options: Partial<Pick<ServerOptions, "isReady" | "tls">> = {}): Promise<Wire> {
  const handlers: Handlers = {
    signIn: ({ login }) => ({ user: { username: login } }),
    async *watch() {
      yield { value: "one" };
      yield { value: "two" };
    },
  };
  const lines: Line[] = [];
  const routes = createRoutes(
    handlers,
    createTestLog((line) => lines.push(line)),
  );
  const server = await startServer({
    routes,
    gateway: async (_req, res) => void res.writeHead(404, { "content-type": "application/json" }).end("{}"),
    isReady: async () => true,
    host: "127.0.0.1",
    grpcPort: 0,
    httpPort: 0,
    log: createTestLog((line) => lines.push(line)),
    ...options,
  });
  return { server, routes, handlers, lines };
}

function createRoutes(handlers: Handlers, log: Log): Routes {
  const isUnavailable = (err: unknown) => err instanceof DatabaseAway;
  return {
    services: [
      service(AuthService, { signIn: (request, context) => handlers.signIn(request, context) }),
      service(Feed, { watch: (_request, context) => handlers.watch(context) }),
    ],
    interceptors: [createAccessLog(log), createErrors({ log, isUnavailable }), endRefused, unaryDeadline],
  };
}

function service<S extends DescService>(desc: S, impl: Partial<ServiceImpl<S>>): Service {
  return { desc, impl: impl as Service["impl"] };
}

/** Base URL of a listener. */
export function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** A transport of each protocol. */
export function transports({ server }: Wire): Readonly<Record<string, Transport>> {
  const http = { baseUrl: urlOf(server.httpPort), httpVersion: "1.1" as const };
  return {
    gRPC: createGrpcTransport({ baseUrl: urlOf(server.grpcPort) }),
    "gRPC-Web": createGrpcWebTransport(http),
    "Connect binary": createConnectTransport({ ...http, useBinaryFormat: true }),
    "Connect JSON": createConnectTransport({ ...http, useBinaryFormat: false }),
  };
}

/** Signs in by every way in there is. */
export function signIns(wire: Wire): Readonly<Record<string, (login: string) => Promise<string>>> {
  const overWire = Object.entries(transports(wire)).map(([name, transport]) => {
    const client = createClient(AuthService, transport);
    return [name, async (login: string) => (await client.signIn({ login })).user?.username ?? ""] as const;
  });
  const invoke = createInvoke(wire.routes);
  const inProcess = async (login: string) => {
    const context = { header: new Headers(), peerAddress: "192.0.2.1", signal: new AbortController().signal };
    return (await invoke(AuthService.method.signIn, { login }, context)).user?.username ?? "";
  };
  return { ...Object.fromEntries(overWire), "in process": inProcess };
}

/** What a caller can see of an error. */
export interface Seen {
  readonly code: number;
  readonly message: string;
  readonly details: readonly { type: string; value: string }[];
}

/** The error that a call ends with. */
export async function errorOf(call: Promise<unknown>): Promise<Seen> {
  try {
    await call;
  } catch (err) {
    const { code, rawMessage: message, details } = ConnectError.from(err);
    return { code, message, details: details.map(seenDetail) };
  }
  throw new Error("the call succeeded");
}

function seenDetail(detail: ConnectError["details"][number]) {
  // Calls in process are told as the interceptors have it, and others as the wire has it.
  const { type, value } = packDetail(detail) ?? { type: "", value: new Uint8Array() };
  return { type, value: Buffer.from(value).toString("base64") };
}

/** Waits, turn by turn of the event loop, until something holds. */
export async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await setImmediate();
}

/** Answer to a request that is written by hand. */
export interface Http2Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly resetCode: number;
}

/** Sends one hand-made gRPC request, on a connection of its own. */
export async function sendGrpc(
  wire: Wire,
  headers: OutgoingHttpHeaders,
  body: Uint8Array | null,
): Promise<Http2Answer> {
  const session = connectHttp2(urlOf(wire.server.grpcPort));
  const { promise, resolve, reject } = Promise.withResolvers<Http2Answer>();
  const stream = session.request({ ...GRPC_HEADERS, ...headers });
  const seen = { headers: {}, trailers: {}, chunks: [] as Buffer[] };
  stream.on("response", (answer) => Object.assign(seen, { headers: answer, trailers: answer }));
  stream.on("trailers", (trailers) => Object.assign(seen, { trailers }));
  stream.on("data", (chunk: Buffer) => seen.chunks.push(chunk));
  stream.on("error", () => {});
  session.on("error", reject);
  stream.on("close", () =>
    resolve({
      headers: seen.headers,
      trailers: seen.trailers,
      body: Buffer.concat(seen.chunks),
      resetCode: stream.rstCode ?? 0,
    }),
  );
  if (body) stream.end(body);
  try {
    return await promise;
  } finally {
    session.destroy();
  }
}

const GRPC_HEADERS = {
  ":method": "POST",
  ":path": "/auth.v1.AuthService/SignIn",
  "content-type": "application/grpc",
  te: "trailers",
};

/** A message with the five bytes that gRPC puts before it. */
export function framed(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

/** Writes bytes to the HTTP listener and reads until it closes the connection. */
export async function sendRaw({ server }: Wire, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connectTcp(server.httpPort, "127.0.0.1", () => socket.write(text));
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", reject);
  socket.on("close", () => resolve(Buffer.concat(chunks).toString()));
  return promise;
}
