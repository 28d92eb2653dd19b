import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";
import { createRpcHandlers } from "../rpc/connect-handler.ts";
import { HEADERS_MS, IDLE_MS, MAX_HEADER_BYTES, REQUEST_MS } from "../rpc/limits.ts";
import { REASONS } from "../rpc/reasons.ts";
import type { Tls } from "../tls.ts";
import { guardConnection, isLast, isSound, refuseMalformed } from "./http-guard.ts";
import type { Listener, ListenerOptions } from "./listener.ts";
import { trackSilent } from "./silent-connections.ts";

/** Answers one HTTP request. */
export type HttpHandler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

/** What the HTTP listener serves beside the RPCs. */
export interface HttpListenerOptions extends ListenerOptions {
  /** Serves everything that is neither an RPC nor a health check. */
  readonly gateway: HttpHandler;
  /** Whether the service can do its work, for `/readyz`. */
  readonly isReady: () => Promise<boolean>;
  /** Puts on each answer what browsers ask for, and gives the handler of a preflight; no page may call unless given. */
  readonly cors?: ((req: IncomingMessage, res: ServerResponse) => HttpHandler | undefined) | undefined;
}

/** Serves RPCs over Connect and gRPC-Web, health checks and the gateway, over HTTP/1.1. */
export async function startHttpListener(options: HttpListenerOptions): Promise<Listener> {
  const { log } = options;
  const life = { isLeaving: false };
  const server = createHttpServer(createHandler(options, life), life, options);
  const port = await listen(server, options);
  const silent = trackSilent(port);
  server.on("request", ({ socket }: IncomingMessage) => silent.speak(socket));
  server.on("error", (error) => log.error({ error }, "HTTP listener failed"));
  return {
    port,
    leave() {
      life.isLeaving = true;
    },
    drain(graceMs) {
      silent.close();
      return shutDown(server, graceMs);
    },
    close() {
      silent.close();
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Life {
  isLeaving: boolean;
}

const SERVER_OPTIONS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: HEADERS_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: IDLE_MS,
  connectionsCheckingInterval: 1000,
  // A missing Host is refused further on, as JSON; health checks over HTTP/1.0 send none.
  requireHostHeader: false,
};

function createHttpServer(handle: HttpHandler, life: Life, { log, tls }: ListenerOptions): Server {
  const current = new WeakMap<Duplex, ServerResponse>();
  const onRequest: RequestListener = (req, res) => {
    const earlier = current.get(req.socket);
    if (earlier && isLast(earlier)) return;
    current.set(req.socket, res);
    guardConnection(req, res, () => life.isLeaving);
    handle(req, res).catch((error) => fail(req, res, error, log));
  };
  const server = tls ? createSecureServer(tls, onRequest) : createServer(SERVER_OPTIONS, onRequest);
  // An expectation that nobody knows may be passed over; Node would refuse it without a body (RFC 9110 section 10.1.1).
  server.on("checkExpectation", (req, res) => server.emit("request", req, res));
  return server.on("clientError", (error, socket) => refuseMalformed(error, socket, current.get(socket)));
}

function createSecureServer(tls: Tls, onRequest: RequestListener): Server {
  const server = createTlsServer({ ...SERVER_OPTIONS, ...tls.serverOptions, ...tls.context() }, onRequest);
  tls.onRenewal((context) => server.setSecureContext(context));
  // Node takes a failed handshake for a malformed request, and an answer to it would wait for the handshake for ever.
  server.removeAllListeners("tlsClientError").on("tlsClientError", (_err, socket) => socket.destroy());
  return server;
}

function createHandler(options: HttpListenerOptions, life: Life): HttpHandler {
  const { routes, gateway, isReady, cors, maxMessageBytes } = options;
  const rpcs = createRpcHandlers(routes, maxMessageBytes);
  return async (req, res) => {
    const path = req.url?.split("?", 1)[0] ?? "";
    const preflight = cors?.(req, res);
    if (path === "/healthz") sendJson(res, 200, OK);
    else if (path === "/readyz") sendReadiness(res, !life.isLeaving && (await isReady().catch(() => false)));
    else if (!isSound(req)) sendJson(res, 400, { detail: "Malformed request", code: "INVALID_ARGUMENT" });
    else await (preflight ?? rpcs.get(path) ?? gateway)(req, res);
  };
}

const OK = { status: "ok" };

function sendReadiness(res: ServerResponse, isReady: boolean): void {
  if (isReady) sendJson(res, 200, OK);
  else sendJson(res, 503, { detail: REASONS.UNAVAILABLE.message, code: "UNAVAILABLE" });
}

function sendJson(res: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  res.writeHead(status, { ...headers, "cache-control": "no-store" }).end(text);
}

function fail({ socket }: IncomingMessage, res: ServerResponse, error: unknown, log: Log): void {
  // A client that went away is no failure of ours.
  if (!res.destroyed && !socket.destroyed) log.error({ error }, "HTTP request failed");
  if (res.headersSent || res.destroyed) res.destroy();
  else sendJson(res, 500, { detail: REASONS.INTERNAL.message, code: "INTERNAL" });
}

async function listen(server: Server, { host, port }: ListenerOptions): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(port, host, resolve);
  await promise;
  server.off("error", reject);
  const address = server.address();
  return typeof address === "object" && address ? address.port : port;
}

/** Resolves when the last request and connection are gone, or were ended after `graceMs`. */
async function shutDown(server: Server, graceMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  server.close(() => resolve());
  await promise;
  clearTimeout(timer);
}
