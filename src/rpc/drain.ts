import type { Interceptor, StreamRequest, StreamResponse } from "@connectrpc/connect";

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
