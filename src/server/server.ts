import { setTimeout as sleep } from "node:timers/promises";
import { AuthError } from "../auth/errors.ts";
import type { Log } from "../log.ts";
import { endStreams } from "../rpc/drain.ts";
import type { Routes } from "../rpc/routes.ts";
import { warmUp } from "../rpc/warm-up.ts";
import type { Tls } from "../tls.ts";
import { startGrpcListener } from "./grpc-listener.ts";
import { type HttpHandler, type HttpListenerOptions, startHttpListener } from "./http-listener.ts";
import { type Listener, listenError } from "./listener.ts";

/** What the service serves and where; a port of 0 takes any free one. */
export interface ServerOptions {
  readonly routes: Routes;
  /** Serves every HTTP request that is neither an RPC nor a health check. */
  readonly gateway: HttpHandler;
  /** Whether the service can do its work, for `/readyz`. */
  readonly isReady: () => Promise<boolean>;
  /** Lets pages of other origins call; none may unless given. */
  readonly cors?: HttpListenerOptions["cors"];
  /** Of both listeners; plain text unless given. */
  readonly tls?: Tls | undefined;
  readonly host: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly log: Log;
  /** Largest request message; 64 KiB unless given. */
  readonly maxMessageBytes?: number;
}

/** Both listeners, with the ports that they got. */
export interface Server {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Takes no more calls; resolves when those under way have ended, within about 10 s. Server streams end at once. */
  drain(): Promise<void>;
  /** Ends everything at once. */
  close(): Promise<void>;
}

/** Starts both listeners over one set of handlers. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const stopping = new AbortController();
  const routes = withStreamsEnding(options.routes, stopping.signal);
  warmUp(routes);
  const listeners = await startListeners({ ...options, routes });
  const close = async () => {
    stopping.abort(new AuthError("UNAVAILABLE"));
    for (const listener of listeners) listener.close();
  };
  let drained: Promise<void> | undefined;
  return {
    grpcPort: listeners[0].port,
    httpPort: listeners[1].port,
    drain() {
      drained ??= drainAll(listeners, stopping);
      return drained;
    },
    close,
  };
}

// A balancer sends new calls for a moment after it was told to stop.
const LAME_DUCK_MS = 300;
const DRAIN_MS = 10_000;

function withStreamsEnding(routes: Routes, signal: AbortSignal): Routes {
  return { ...routes, interceptors: [...routes.interceptors, endStreams(signal)] };
}

async function startListeners(options: ServerOptions): Promise<readonly [Listener, Listener]> {
  const { host, grpcPort, httpPort } = options;
  const grpc = await startGrpcListener({ ...options, port: grpcPort }).catch((error) => {
    throw listenError("GRPC_PORT", host, grpcPort, error);
  });
  const http = await startHttpListener({ ...options, port: httpPort }).catch((error) => {
    grpc.close();
    throw listenError("HTTP_PORT", host, httpPort, error);
  });
  return [grpc, http];
}

async function drainAll(listeners: readonly Listener[], stopping: AbortController): Promise<void> {
  for (const listener of listeners) listener.leave();
  await sleep(LAME_DUCK_MS);
  stopping.abort(new AuthError("UNAVAILABLE"));
  await Promise.all(listeners.map((listener) => listener.drain(DRAIN_MS - LAME_DUCK_MS)));
}
