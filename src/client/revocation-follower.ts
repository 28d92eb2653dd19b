import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { WatchRevocationsResponse } from "../../gen/auth/v1/token_service_pb.ts";
import { createBackoff } from "./backoff.ts";
import { createSignal } from "./signal.ts";
import type { TokenSource } from "./token-source.ts";

/** The service's revocations, in memory. */
export interface RevocationFollower {
  has(sessionId: string): boolean;
  /** Whether all that is in force is known, up to a moment ago. */
  isInSync(): boolean;
  /** Why the stream last ended; undefined before. */
  failure(): unknown;
  /** Resolves when all that is in force has been learnt once. */
  ready(signal: AbortSignal): Promise<void>;
}

/** What following needs. */
export interface FollowerOptions {
  /** How long what is known is taken to be all, once the stream has ended. */
  readonly awayAfterMs: number;
  readonly onFailure: (error: unknown) => void;
  readonly closing: AbortSignal;
}

/** The service says something every 15 s. */
const SILENCE_MS = 20_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** Holds the stream of revocations open, and the process alive with it, until it is closed. */
export function followRevocations(
  source: Pick<TokenSource, "revocations">,
  { awayAfterMs, onFailure, closing }: FollowerOptions,
): RevocationFollower {
  const memory = createMemory();
  const synced = createSignal();
  let cursor = "";
  /** By the monotonic clock: how long what is known may be taken to be all. */
  let knownUntil = Number.NEGATIVE_INFINITY;
  let failure: unknown;

  const follow = async (): Promise<never> => {
    const silence = createSilence();
    let isInSync = false;
    try {
      for await (const message of source.revocations(cursor, silence.signal)) {
        silence.interrupt();
        memory.learn(message);
        cursor = message.cursor || cursor;
        isInSync ||= message.inSync;
        if (!isInSync) continue;
        knownUntil = performance.now() + SILENCE_MS;
        synced.set();
      }
      throw new Error("the service ended the stream of revocations");
    } finally {
      silence.end();
      // A stream that fell silent has been away since its last word.
      const leftAt = silence.signal.aborted ? knownUntil - SILENCE_MS : performance.now();
      if (isInSync) knownUntil = leftAt + awayAfterMs;
    }
  };
  const keepFollowing = async (): Promise<void> => {
    const backoff = createBackoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    while (!closing.aborted) {
      const begunAt = performance.now();
      failure = await follow().catch((error: unknown) => error);
      if (closing.aborted) return;
      onFailure(failure);
      if (performance.now() - begunAt > LONGEST_PAUSE_MS) backoff.reset();
      await pause(backoff.next(), closing);
    }
  };
  void keepFollowing();

  return {
    has: memory.has,
    isInSync: () => performance.now() < knownUntil,
    failure: () => failure,
    ready: synced.wait,
  };
}

/** Resolves after a time, or when the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  });
}

/** A signal that is aborted when nothing has interrupted the silence for too long. */
function createSilence() {
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new Error(`the service has said nothing for ${SILENCE_MS / 1000} s`)),
    SILENCE_MS,
  );
  return { signal: controller.signal, interrupt: () => void timer.refresh(), end: () => clearTimeout(timer) };
}

const SWEEP_MS = 60_000;

/** When a revocation can be forgotten: by both clocks, since the one of the day may be put back again. */
interface End {
  readonly ofDay: number;
  readonly monotonic: number;
}

function createMemory() {
  const revoked = new Map<string, End>();
  let sweptAt = performance.now();
  const sweep = () => {
    sweptAt = performance.now();
    for (const [sessionId, { ofDay, monotonic }] of revoked)
      if (ofDay < Date.now() && monotonic < sweptAt) revoked.delete(sessionId);
  };
  return {
    has: (sessionId: string): boolean => revoked.has(sessionId),
    learn({ sessionId, expireTime }: WatchRevocationsResponse): void {
      if (performance.now() - sweptAt > SWEEP_MS) sweep();
      if (sessionId === "") return;
      const ofDay = expireTime ? timestampMs(expireTime) : Number.POSITIVE_INFINITY;
      revoked.set(sessionId, { ofDay, monotonic: performance.now() + ofDay - Date.now() });
    },
  };
}
