import {
  logVerbosity,
  type Responder,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  setLogVerbosity,
  status,
} from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";

import type { Listener, ListenerOptions } from "./listener.ts";
import { addRoutes } from "./rpc/grpc-bridge.ts";
import { guardStreams } from "./rpc/grpc-guard.ts";
import { createReflection } from "./rpc/grpc-reflection.ts";
import { IDLE_MS, MAX_MESSAGE_BYTES, MAX_STREAMS } from "./rpc/limits.ts";
import { REASONS } from "./rpc/reasons.ts";
import type { Routes } from "./rpc/routes.ts";

/** Serves routes, health and reflection over native gRPC. */
export async function startGrpcListener({ routes, host, port, log }: ListenerOptions): Promise<Listener> {
  // grpc-js logs metadata that it cannot carry, in clear and for anybody who sends it.
  setLogVerbosity(logVerbosity.NONE);
  const statuses = healthOf(routes, "SERVING");
  const calls = createCallRegister(new Set(Object.keys(statuses)));
  const server = new Server({ ...OPTIONS, interceptors: [calls.interceptor] });
  const health = new HealthImplementation(statuses);
  addRoutes(server, routes, log);
  health.addToServer(server);
  createReflection(routes).addToServer(server);
  const boundPort = await bind(server, addressOf(host, port));
  const unguard = guardStreams(boundPort, unaryPaths(routes));
  const close = () => {
    // Without channelz, forceShutdown knows of no session.
    server.drain(addressOf(host, boundPort), 0);
    server.forceShutdown();
    unguard();
  };
  return {
    port: boundPort,
    leave() {
      for (const [name, serving] of Object.entries(healthOf(routes, "NOT_SERVING"))) health.setStatus(name, serving);
    },
    async drain(graceMs) {
      calls.endStreams();
      await shutDown(server, graceMs);
      close();
    },
    close,
  };
}

const OPTIONS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
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
  return new Set(unary.map(({ parent, name }) => `/${parent.typeName}/${name}`));
}

/** Knows the open streams of health and reflection, which nothing else ends at a stop; keeps successes quiet. */
function createCallRegister(watchable: ReadonlySet<string>) {
  const open = new Set<ServerInterceptingCall>();
  const interceptor: ServerInterceptor = (method, next) => {
    if (!method.path.startsWith("/grpc.")) return new ServerInterceptingCall(next, { sendStatus: quietSuccess });
    const listener = new ServerListenerBuilder().withOnCancel(() => open.delete(call));
    if (method.path.startsWith(HEALTH)) {
      // The library keeps every name that was ever watched, and repeats an unknown one in its answer.
      listener.withOnReceiveMessage((message, pass) =>
        pass(watchable.has(message.service) ? message : { ...message, service: "unknown" }),
      );
    }
    const call = new SteadyCall(next, {
      start: (start) => start(listener.build()),
      sendStatus: quietSuccess,
    });
    if (method.responseStream) open.add(call);
    return call;
  };
  const endStreams = () => {
    for (const call of open) call.sendStatus({ code: status.UNAVAILABLE, details: REASONS.UNAVAILABLE.message });
  };
  return { interceptor, endStreams };
}

const HEALTH = "/grpc.health.v1.Health/";

/** Reads no further while an answer is still to be taken: reflection answers a few bytes with kilobytes, and never waits. */
class SteadyCall extends ServerInterceptingCall {
  #untaken = 0;
  #wantsMore = false;

  override sendMessage(message: unknown, callback: () => void): void {
    this.#untaken += 1;
    super.sendMessage(message, () => {
      this.#untaken -= 1;
      callback();
      if (this.#wantsMore) this.startRead();
    });
  }

  override startRead(): void {
    this.#wantsMore = this.#untaken > 0;
    if (!this.#wantsMore) super.startRead();
  }
}

// grpc-js says "OK" in `grpc-message` of every success.
const quietSuccess: NonNullable<Responder["sendStatus"]> = (result, next) =>
  next(result.code === status.OK ? { ...result, details: "" } : result);

function addressOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

async function bind(server: Server, address: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(address, ServerCredentials.createInsecure(), (err, bound) => (err ? reject(err) : resolve(bound)));
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
