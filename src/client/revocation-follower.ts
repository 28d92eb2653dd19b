import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import { createSignal } from "./signal.ts";

/** The service says something every 15 s. */
const SILENCE_MS = 20_000;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5_000;
const SWEEP_MS = 60_000;
/** Kept for longer than the service does: this machine's clock may be behind. */
const KEPT_MS = 60_000;

/** Holds the stream of revocations open, and knows whether it is. */
export function followRevocations(client: Pick<Client<typeof TokenService>, "watchRevocations">, awayAfterMs: number) {
  const revoked = new Map<string, number>();
  const synced = createSignal();
  const closing = new AbortController();
  let cursor = "";
  let isConnected = false;
  let leftAt = Number.NEGATIVE_INFINITY;
  let failure: unknown;

  const follow = async (): Promise<void> => {
    const stream = new AbortController();
    const signal = AbortSignal.any([closing.signal, stream.signal]);
    const silence = setTimeout(() => stream.abort(), SILENCE_MS);
    try {
      for await (const message of client.watchRevocations({ cursor }, { signal })) {
        silence.refresh();
        if (message.sessionId) revoked.set(message.sessionId, expiry(message.expireTime));
        if (message.cursor) cursor = message.cursor;
        if (!message.inSync) continue;
        isConnected = true;
        synced.set();
      }
    } finally {
      clearTimeout(silence);
      if (isConnected) leftAt = performance.now();
      isConnected = false;
    }
  };
  const keepFollowing = async (): Promise<void> => {
    let backoff = FIRST_BACKOFF_MS;
    while (!closing.signal.aborted) {
      const begun = performance.now();
      failure = await follow().then(
        () => undefined,
        (error: unknown) => error,
      );
      // A stream that lasted begins from the first pause again; half of each is chance, so that a restarted service is
      // not met by everybody at once.
      backoff =
        performance.now() - begun > LONGEST_BACKOFF_MS ? FIRST_BACKOFF_MS : Math.min(backoff * 2, LONGEST_BACKOFF_MS);
      await pause(backoff * (0.5 + Math.random() / 2), closing.signal);
    }
  };
  void keepFollowing();
  const sweeper = setInterval(() => {
    for (const [sessionId, expiresAt] of revoked) if (expiresAt < Date.now()) revoked.delete(sessionId);
  }, SWEEP_MS).unref();

  return {
    has: (sessionId: string): boolean => revoked.has(sessionId),
    /** Whether all that is in force is known, up to a moment ago. */
    isInSync: (): boolean => isConnected || performance.now() - leftAt < awayAfterMs,
    /** Why the stream ended when it last did. */
    failure: (): unknown => failure,
    ready: synced.wait,
    close() {
      clearInterval(sweeper);
      closing.abort();
    },
  };
}

function expiry(time: Parameters<typeof timestampMs>[0] | undefined): number {
  return (time ? timestampMs(time) : Number.POSITIVE_INFINITY) + KEPT_MS;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms).unref();
  signal.addEventListener(
    "abort",
    () => {
      clearTimeout(timer);
      resolve();
    },
    { once: true },
  );
  return promise;
}
