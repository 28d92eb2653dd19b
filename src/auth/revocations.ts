import { type Clock, now } from "../clock.ts";
import type { Database } from "../db/database.ts";
import type { Position, StoredRevocation } from "../db/revocations.ts";
import type { Revocation } from "../db/sessions.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import { AuthError } from "./errors.ts";
import { createRevocationFeed, type RevocationEvent } from "./revocation-feed.ts";

/** The revocations in force, in memory. */
export interface Revocations {
  /** Makes this process know at once what it has just committed; the others find it at their next poll. */
  add(revocations: readonly Revocation[]): void;
  /** Whether a session was ended. Throws UNAVAILABLE when that is not known: better than a stale yes to a token. */
  has(sessionId: string): boolean;
  /**
   * Tells what is in force and was not seen at the cursor, then that the watcher is in sync, and from then on whatever
   * happens, with a sign of life every 15 s. Throws SlowWatcher, or UNAVAILABLE as `has` does.
   */
  watch(cursor: string, signal: AbortSignal): AsyncIterable<RevocationEvent>;
  close(): Promise<void>;
}

const POLL_MS = 50;
const STALE_MS = 10_000;
const SWEEP_MS = 60_000;

/** Loads what is in force and keeps polling for more. */
export async function watchRevocations(db: Database, clock: Clock, log: Log): Promise<Revocations> {
  const memory = createMemory(clock);
  await db.statement(({ revocations }) => revocations.adopt());
  const first = await db.statement(({ revocations }) => revocations.since(null));
  memory.learn(first.revocations);
  let position = first.position;
  let freshAt = performance.now();
  const feed = createRevocationFeed({ inForce: memory.inForce, position: () => position });

  const read = async (from: Position | null): Promise<void> => {
    const begunAt = performance.now();
    const page = await db.statement(({ revocations }) => revocations.since(from?.snapshot ?? null));
    // Snapshots of one history say nothing about another one.
    if (from && page.position.history !== from.history) return read(null);
    if (!from) memory.forgetTransactions();
    memory.learn(page.revocations);
    position = page.position;
    freshAt = begunAt;
    if (page.revocations.length > 0) feed.publish(page.revocations, position);
  };
  const isStale = () => performance.now() - freshAt > STALE_MS;
  const polling = startPolling(POLL_MS, createTurn({ read, position: () => position, isStale, feed, log }));
  const sweeper = setInterval(memory.sweep, SWEEP_MS).unref();

  return {
    add(revocations) {
      memory.learn(revocations);
      if (revocations.length > 0) feed.publish(revocations, null);
    },
    has(sessionId) {
      if (isStale()) throw new AuthError("UNAVAILABLE");
      return (memory.inForce.get(sessionId)?.expiresAt.getTime() ?? 0) > now(clock);
    },
    watch(cursor, signal) {
      if (isStale()) throw new AuthError("UNAVAILABLE");
      return feed.watch(cursor, signal);
    },
    async close() {
      clearInterval(sweeper);
      await polling.close();
    },
  };
}

function createMemory(clock: Clock) {
  const inForce = new Map<string, { readonly expiresAt: Date; readonly tx: bigint | null }>();
  return {
    inForce,
    learn(revocations: readonly (Revocation | StoredRevocation)[]): void {
      for (const revocation of revocations) {
        const known = inForce.get(revocation.sessionId)?.tx ?? null;
        const tx = "tx" in revocation ? revocation.tx : known;
        inForce.set(revocation.sessionId, { expiresAt: revocation.expiresAt, tx });
      }
    },
    /** What was learnt stays in force; in which transaction it was written has no meaning any more. */
    forgetTransactions(): void {
      for (const [sessionId, { expiresAt }] of inForce) inForce.set(sessionId, { expiresAt, tx: null });
    },
    sweep(): void {
      for (const [sessionId, { expiresAt }] of inForce)
        if (expiresAt.getTime() <= now(clock)) inForce.delete(sessionId);
    },
  };
}

interface Turn {
  readonly read: (from: Position | null) => Promise<void>;
  readonly position: () => Position;
  readonly isStale: () => boolean;
  readonly feed: { end(error: Error): void };
  readonly log: Log;
}

/** One poll. After a failed one everything in force is read anew: the database may have come back as another one. */
function createTurn({ read, position, isStale, feed, log }: Turn): () => Promise<void> {
  let failing = false;
  return async () => {
    try {
      await read(failing ? null : position());
      if (failing) log.info({}, "revocations are known again");
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ err: error }, "revocations cannot be read");
      failing = true;
      if (isStale()) feed.end(new AuthError("UNAVAILABLE"));
    }
  };
}
