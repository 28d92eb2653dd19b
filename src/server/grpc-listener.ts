import type { ServerHttp2Session } from "node:http2";
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { addRoutes } from "../rpc/grpc/bridge.ts";
import { createTlsCredentials } from "../rpc/grpc/credentials.ts";
import { createGrpcDoor } from "../rpc/grpc/door.ts";
import { guardStreams } from "../rpc/grpc/guard.ts";
import { createReflection } from "../rpc/grpc/reflection.ts";
import { createCallRegister } from "../rpc/grpc/side-streams.ts";
import { replaceStreamTables } from "../rpc/grpc/stream-tables.ts";
import { IDLE_MS, MAX_MESSAGE_BYTES, MAX_STREAMS } from "../rpc/limits.ts";
import type { Routes } from "../rpc/routes.ts";
import { rpcName } from "../rpc/rpc-name.ts";
import { addressOf, type Listener, type ListenerOptions } from "./listener.ts";
import { trackSilent } from "./silent-connections.ts";

/** Serves routes, health and reflection over native gRPC. */
export async function startGrpcListener(options: ListenerOptions): Promise<Listener> {
  // grpc-js logs metadata that it cannot carry, in clear and for anybody who sends it.
  setLogVerbosity(logVerbosity.NONE);
  const { routes, host, port, log, tls, maxMessageBytes = MAX_MESSAGE_BYTES } = options;
  const statuses = healthOf(routes, "SERVING");
  const calls = createCallRegister(new Set(Object.keys(statuses)));
  const server = new Server({
    ...OPTIONS,
    "grpc.max_receive_message_length": maxMessageBytes,
    interceptors: [calls.interceptor],
  });
  const health = new HealthImplementation(statuses);
  addRoutes(server, routes, log);
  health.addToServer(server);
  createReflection(routes).addToServer(server);
  const credentials = tls ? createTlsCredentials(tls) : ServerCredentials.createInsecure();
  const boundPort = await bind(server, addressOf(host, port), credentials);
  const silent = trackSilent(boundPort);
  const knockFirst = routes.door && createGrpcDoor(routes.door);
  const onSession = (session: ServerHttp2Session) => {
    replaceStreamTables(session);
    knockFirst?.(session);
  };
  const unguard = guardStreams(boundPort, { unaryPaths: unaryPaths(routes), onSession, onStream: silent.speak });
  const close = () => {
    // Without channelz, forceShutdown knows of no session.
    server.drain(addressOf(host, boundPort), 0);
    server.forceShutdown();
    unguard();
    silent.close();
  };
  return {
    port: boundPort,
    leave() {
      for (const [name, serving] of Object.entries(healthOf(routes, "NOT_SERVING"))) health.setStatus(name, serving);
    },
    async drain(graceMs) {
      calls.endStreams();
      silent.close();
      // Before the shutdown: it passes over connections that are closing already, and would never end them.
      server.drain(addressOf(host, boundPort), graceMs);
      await shutDown(server, graceMs);
      close();
    },
    close,
  };
}

const OPTIONS = {
  "grpc.max_concurrent_streams": MAX_STREAMS,
  "grpc.max_connection_idle_ms": IDLE_MS,
  // A session stays as a zombie after a rapid reset until a ping fails.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // Spreads clients over processes: grpc-js adds jitter, and calls under way are not cut.
  "grpc.max_connection_age_ms": 30 * 60_000,
  "grpc.enable_channelz": 0,
};

// Every process that is up is SERVING, also without its database: clients would else leave all of them at once and be
// told nothing, where a call is told UNAVAILABLE.
function healthOf(routes: Routes, serving: "SERVING" | "NOT_SERVING") {
  return Object.fromEntries(["", ...routes.services.map(({ desc }) => desc.typeName)].map((name) => [name, serving]));
}

function unaryPaths(routes: Routes): ReadonlySet<string> {
  const methods = routes.services.flatMap(({ desc }) => desc.methods);
  const unary = methods.filter(({ methodKind }) => methodKind === "unary");
  return new Set(unary.map((method) => `/${rpcName(method)}`));
}

async function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  return promise;
}

/** Resolves when the last call and connection are gone, or after `graceMs`. */
async function shutDown(server: Server, graceMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, graceMs);
  server.tryShutdown(() => resolve());
  await promise;
  clearTimeout(timer);
}
