import {
  type Responder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import { REASONS } from "./reasons.ts";

/** Knows the open streams of health and reflection, which nothing else ends at a stop; keeps successes quiet. */
export function createCallRegister(watchable: ReadonlySet<string>) {
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
