import type { Position } from "../db/revocations.ts";
import type { Revocation } from "../db/session-endings.ts";
import type { KnownRevocation } from "./revocation-memory.ts";
import { createWatcher, type Link, type RevocationEvent, type Watcher } from "./revocation-watcher.ts";
import { isVisible, readCursor, toCursor } from "./snapshot.ts";

/** On whose behalf somebody watches. */
export interface WatchOptions {
  /** Ends the watch with its reason. */
  readonly signal: AbortSignal;
  /** Throws when they may be told no more; asked before anything new is told, and each second. */
  readonly requireAllowed: () => void;
}

/** Hands revocations on to watchers: those in force, which are all that is visible at the position, and each new one. */
export function createRevocationFeed(inForce: ReadonlyMap<string, KnownRevocation>, position: () => Position) {
  const watchers = new Map<Watcher, () => void>();
  let end: Link = { number: 0, revocation: null, cursor: "", next: null };

  async function* watch(from: string, { signal, requireAllowed }: WatchOptions): AsyncGenerator<RevocationEvent> {
    const watcher = createWatcher(end, () => toCursor(position()));
    const leave = () => watcher.end(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave);
    watchers.set(watcher, requireAllowed);
    const begun = position();
    try {
      yield* snapshotFor(from, begun, watcher);
      yield watcher.inSync(toCursor(begun));
      for (;;) yield await watcher.next();
    } finally {
      watchers.delete(watcher);
      signal.removeEventListener("abort", leave);
    }
  }

  // The map may change meanwhile: what it gains is in the chain as well.
  function* snapshotFor(from: string, begun: Position, watcher: Watcher): Generator<RevocationEvent> {
    const seen = readCursor(from, begun);
    for (const [sessionId, { expiresAt, tx }] of inForce) {
      if (seen && tx !== null && isVisible(tx, seen)) continue;
      watcher.requireLive();
      yield { cursor: "", revocation: { sessionId, expiresAt }, inSync: false };
    }
    watcher.requireLive();
  }

  const check = (watcher: Watcher, requireAllowed: () => void): void => {
    try {
      requireAllowed();
    } catch (error) {
      watcher.end(error);
    }
  };

  return {
    watch,

    /** Tells every watcher; when it has been told, one can go on from the cursor. */
    publish(revocations: readonly Revocation[], cursor: string): void {
      if (revocations.length === 0) return;
      for (const [watcher, requireAllowed] of watchers) {
        check(watcher, requireAllowed);
        watcher.expect(end);
      }
      for (const [index, revocation] of revocations.entries()) {
        const isLast = index === revocations.length - 1;
        end.next = { number: end.number + 1, revocation, cursor: isLast ? cursor : "", next: null };
        end = end.next;
      }
      for (const watcher of watchers.keys()) watcher.wake();
    },

    /** Sees to the watchers, each second. */
    tend(): void {
      for (const [watcher, requireAllowed] of watchers) {
        check(watcher, requireAllowed);
        watcher.tend();
      }
    },

    /** Ends every watch with this error. */
    end(error: Error): void {
      for (const watcher of watchers.keys()) watcher.end(error);
    },
  };
}
