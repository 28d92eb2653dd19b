import type { Interceptor } from "@connectrpc/connect";
import { AuthError } from "../auth/errors.ts";
import { UNARY_DEADLINE_MS } from "./limits.ts";

/** Ends a unary call after 30 s or when its caller's signal says so, whether the handler looks at its signal or not. */
export const unaryDeadline: Interceptor = (next) => async (req) => {
  if (req.stream) return next(req);
  const { signal, ended, release } = endingSignal(req.signal, UNARY_DEADLINE_MS);
  try {
    signal.throwIfAborted();
    return await Promise.race([next({ ...req, signal }), ended]);
  } finally {
    release();
  }
};

function endingSignal(outer: AbortSignal, ms: number) {
  const controller = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  // Nobody waits for it when the call does not begin.
  ended.catch(() => {});
  const end = (reason: unknown) => {
    controller.abort(reason);
    reject(reason);
  };
  const onAbort = () => end(outer.reason);
  const timer = setTimeout(() => end(new AuthError("DEADLINE_EXCEEDED")), ms);
  if (outer.aborted) onAbort();
  else outer.addEventListener("abort", onAbort, { once: true });
  const release = () => {
    clearTimeout(timer);
    outer.removeEventListener("abort", onAbort);
  };
  return { signal: controller.signal, ended, release };
}
