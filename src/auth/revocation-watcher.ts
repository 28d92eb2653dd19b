import type { Revocation } from "../db/session-endings.ts";

/** What a watcher is told: a revocation, that it is in sync, or that the service lives. */
export interface RevocationEvent {
  /** Where to go on from; empty where that cannot be said yet. */
  readonly cursor: string;
  readonly revocation: Revocation | null;
  readonly inSync: boolean;
}

/**
 * A revocation in the order in which they became known. All watchers read the same chain, each from its own link on, and
 * hold nothing else: what the last of them has read is let go.
 */
export interface Link {
  readonly number: number;
  readonly revocation: Revocation | null;
  /** Where one who has read so far can go on from; empty where that cannot be said yet. */
  readonly cursor: string;
  next: Link | null;
}

/** A watcher reads more slowly than revocations come: better cut off than sure of what it does not know. */
export class SlowWatcher extends Error {}

/** Who reads the chain. */
export interface Watcher {
  /** Sees to it that it reads on, when links are about to be added at this end. */
  expect(end: Link): void;
  /** Makes it read on. */
  wake(): void;
  /** Makes it give a sign of life if it was silent for long; ends it if it has been behind for long. */
  tend(): void;
  /** Ends it: what it has not read is never told. */
  end(reason: unknown): void;
  /** Throws when it has ended. */
  requireLive(): void;
  /** Says that it knows all that was there when it began. */
  inSync(cursor: string): RevocationEvent;
  /** What to tell next, as soon as there is something. */
  next(): Promise<RevocationEvent>;
}

/** At which silence a sign of life is given: 15 s, less the second between two looks at it. */
const SILENCE_MS = 14_000;
/** How long a watcher that takes itself to be in sync may have something to read: as long as memory may be stale. */
const BEHIND_MS = 10_000;
const MAX_BEHIND = 100_000;

/** Begins to read the chain after a link; `cursor` tells where one who has read all of it can go on from. */
export function createWatcher(start: Link, cursor: () => string): Watcher {
  let at = start;
  let ended: { readonly reason: unknown } | null = null;
  let isInSync = false;
  let upToDateAt = 0;
  let toldAt = performance.now();
  let isSignDue = false;
  let wake = () => {};

  const requireLive = () => {
    if (ended) throw ended.reason;
  };
  const end = (reason: unknown) => {
    ended ??= { reason };
    // Not of what was given: to hold the first link is to hold all that come after it.
    at = { number: 0, revocation: null, cursor: "", next: null };
    wake();
  };
  const tell = (revocation: Revocation | null): RevocationEvent => {
    toldAt = performance.now();
    if (!at.next) upToDateAt = toldAt;
    isSignDue = false;
    return { cursor: at.next ? at.cursor : cursor(), revocation, inSync: false };
  };
  return {
    expect(newest) {
      if (newest.number - at.number > MAX_BEHIND) end(new SlowWatcher());
      if (!at.next) upToDateAt = performance.now();
    },
    wake: () => wake(),
    tend() {
      const now = performance.now();
      if (isInSync && at.next && now - upToDateAt > BEHIND_MS) end(new SlowWatcher());
      isSignDue ||= now - toldAt > SILENCE_MS;
      if (isSignDue) wake();
    },
    end,
    requireLive,
    inSync(from) {
      isInSync = true;
      toldAt = upToDateAt = performance.now();
      return { cursor: from, revocation: null, inSync: true };
    },
    async next() {
      for (;;) {
        requireLive();
        if (at.next) {
          at = at.next;
          return tell(at.revocation);
        }
        if (isSignDue) return tell(null);
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
    },
  };
}
