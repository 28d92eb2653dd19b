import {
  type Responder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import type { Reason } from "../../auth/errors.ts";
import { REQUEST_MS } from "../limits.ts";
import { refusal } from "../reasons.ts";
import { toStatus } from "./status.ts";

/**
 * Knows the open streams that nothing else ends at a stop: of health and reflection, and those whose request is still to
 * come. Ends the latter when it takes too long, since handlers and deadlines wait for it; keeps successes quiet.
 */
export function createCallRegister(watchable: ReadonlySet<string>) {
  const open = new Set<ServerInterceptingCall>();
  const interceptor: ServerInterceptor = (method, next) => {
    const isOurs = !method.path.startsWith("/grpc.");
    if (isOurs && !method.responseStream) return new ServerInterceptingCall(next, { sendStatus: quietSuccess });
    const listener = method.path.startsWith(HEALTH) ? healthListener(watchable) : new ServerListenerBuilder();
    const call = new (isOurs ? ServerInterceptingCall : SteadyCall)(next, {
      start: (start) => start(listener.build()),
      sendStatus: quietSuccess,
    });
    const timer = method.requestStream ? undefined : setTimeout(() => end(call, "DEADLINE_EXCEEDED"), REQUEST_MS);
    listener.withOnReceiveHalfClose((pass) => {
      clearTimeout(timer);
      if (isOurs) open.delete(call);
      pass();
    });
    listener.withOnCancel(() => {
      clearTimeout(timer);
      open.delete(call);
    });
    if (method.responseStream) open.add(call);
    return call;
  };
  const endStreams = () => {
    for (const call of open) end(call, "UNAVAILABLE");
  };
  return { interceptor, endStreams };
}

function end(call: ServerInterceptingCall, reason: Reason): void {
  call.sendStatus(toStatus(refusal(reason), new Headers()));
}

// The library keeps every name that was ever watched, and repeats an unknown one in its answer.
function healthListener(watchable: ReadonlySet<string>): ServerListenerBuilder {
  return new ServerListenerBuilder().withOnReceiveMessage((message, pass) =>
    pass(watchable.has(message.service) ? message : { ...message, service: "unknown" }),
  );
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
