/** Something that happens once and can be waited for. */
export function createSignal() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    set: () => resolve(),
    /** Rejects with the signal's reason when it is aborted before. */
    wait(signal: AbortSignal): Promise<void> {
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const onAbort = () => reject(signal.reason);
      if (signal.aborted) onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", onAbort));
    },
  };
}
