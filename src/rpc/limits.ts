import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor, StreamRequest, StreamResponse } from "@connectrpc/connect";
import { AuthError } from "../auth/errors.ts";

/** Largest request message, compressed or not. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** Largest sum of a request's headers. */
export const MAX_HEADER_BYTES = 8 * 1024;

/** Calls that one HTTP/2 connection may have open at once. */
export const MAX_STREAMS = 100;

/** How long a connection may carry no call. */
export const IDLE_MS = 60_000;

/** How long a client may take to send a request's headers. */
export const HEADERS_MS = 10_000;

/** How long a client may take to send a whole request. */
export const REQUEST_MS = 30_000;

/** Longest time of a unary call, and its time when the caller gives none. */
export const UNARY_DEADLINE_MS = 30_000;

/**
 * How much later than ours the deadline timer of grpc-js goes off: its answer has no details. It also ends calls whose
 * message never comes.
 */
export const DEADLINE_GRACE_MS = 1000;

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

/** Ends server streams when `drain` is aborted, with its reason, so that a stop does not wait for them. */
export function endStreams(drain: AbortSignal): Interceptor {
  return (next) => async (req) => {
    if (!req.stream) return next(req);
    const signal = AbortSignal.any([req.signal, drain]);
    const request: StreamRequest = { ...req, signal };
    const response = await next(request);
    if (!response.stream) return response;
    return { ...response, message: untilAborted(response.message, signal) } satisfies StreamResponse;
  };
}

/** A `grpc-timeout` of at most `maxMs`, plus `extraMs`; undefined when the value is not one. */
export function clampGrpcTimeout(value: string, maxMs: number, extraMs = 0): string | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
  if (!digits || !unit) return undefined;
  const ms = Math.ceil(Number(digits) * (UNIT_MS[unit] ?? 0));
  return `${Math.min(ms, maxMs) + extraMs}m`;
}

/** A count of milliseconds of at most `maxMs`; undefined when the value is not one. */
export function clampMilliseconds(value: string, maxMs: number): string | undefined {
  return /^\d{1,10}$/.test(value) ? String(Math.min(Number(value), maxMs)) : undefined;
}

/** The longest deadline of an RPC: ours for a unary one, and for a stream what a timer can hold. */
export function longestDeadline(kind: DescMethod["methodKind"]): number {
  return kind === "unary" ? UNARY_DEADLINE_MS : 24 * 3_600_000;
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

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

/** The same messages, until `signal` is aborted: a handler that does not look at its signal cannot hold the call. */
async function* untilAborted<T>(messages: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await nextOrAbort(iterator, signal);
      if (result.done) return;
      yield result.value;
    }
  } finally {
    iterator.return?.().catch(() => {});
  }
}

function nextOrAbort<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T>> {
  const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<T>>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  iterator
    .next()
    .then(resolve, reject)
    .finally(() => signal.removeEventListener("abort", onAbort));
  return promise;
}
