import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Database } from "../db/database.ts";
import type { Position } from "../db/revocations.ts";
import type { Revocation } from "../db/session-endings.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import { followDatabaseClock } from "./database-clock.ts";
import { AuthError } from "./errors.ts";
import { createRevocationFeed, type WatchOptions } from "./revocation-feed.ts";
import { createRevocationMemory } from "./revocation-memory.ts";
import type { RevocationEvent } from "./revocation-watcher.ts";
import { toCursor } from "./snapshot.ts";

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
  watch(cursor: string, options: WatchOptions): AsyncIterable<RevocationEvent>;
  close(): Promise<void>;
}

const POLL_MS = 50;
const STALE_MS = 10_000;
const TEND_MS = 1_000;
const SWEEP_MS = 60_000;

/** Loads what is in force and keeps polling for more. */
export async function watchRevocations(db: Database, clock: Clock, log: Log): Promise<Revocations> {
  const memory = createRevocationMemory(clock);
  const history = await findHistory(db, log);
  // Of all statements the most frequent.
  const askTime = followDatabaseClock(clock, log);
  const readSince = (snapshot: string | null) =>
    askTime(() => db.statement(({ revocations }) => revocations.since(snapshot, history)));
  await db.statement(({ revocations }) => revocations.adopt());
  let freshAt = performance.now();
  let sweptAt = freshAt;
  const first = await readSince(null);
  memory.learn(first.revocations);
  let position = first.position;
  const feed = createRevocationFeed(memory.all, () => position);

  const read = async (from: Position | null): Promise<void> => {
    const begunAt = performance.now();
    const page = await readSince(from?.snapshot ?? null);
    // Snapshots of one history say nothing about another one.
    if (from && page.position.history !== from.history) return read(null);
    if (!from) memory.forgetTransactions();
    const news = memory.learn(page.revocations);
    position = page.position;
    freshAt = begunAt;
    if (begunAt - sweptAt > SWEEP_MS) {
      sweptAt = begunAt;
      memory.sweep(page.readAt);
    }
    feed.publish(news, toCursor(position));
  };
  const requireFresh = () => {
    if (performance.now() - freshAt > STALE_MS) throw new AuthError("UNAVAILABLE");
  };
  const polling = startPolling(POLL_MS, createTurn({ read, position: () => position, log }));
  const tending = setInterval(feed.tend, TEND_MS).unref();

  return {
    add: (revocations) => feed.publish(memory.learn(revocations), ""),
    has(sessionId) {
      requireFresh();
      return memory.has(sessionId);
    },
    watch(cursor, { signal, requireAllowed }) {
      requireFresh();
      const requireBoth = () => {
        requireFresh();
        requireAllowed();
      };
      return feed.watch(cursor, { signal, requireAllowed: requireBoth });
    },
    async close() {
      clearInterval(tending);
      await polling.close();
      feed.end(new AuthError("UNAVAILABLE"));
    },
  };
}

/** The history that cursors name where the database does not tell its own: known to nobody but this process. */
async function findHistory(db: Database, log: Log): Promise<string | null> {
  if ((await db.statement(({ revocations }) => revocations.history())) !== null) return null;
  log.warn({}, "the database does not tell which history it has: watchers that come back are told everything again");
  return `0.${randomBytes(4).toString("hex").toUpperCase()}`;
}

interface Turn {
  readonly read: (from: Position | null) => Promise<void>;
  readonly position: () => Position;
  readonly log: Log;
}

/** One poll. After a failed one everything in force is read anew: the database may have come back as another one. */
function createTurn({ read, position, log }: Turn): () => Promise<void> {
  let failing = false;
  return async () => {
    try {
      await read(failing ? null : position());
      if (failing) log.info({}, "revocations are known again");
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ error }, "revocations cannot be read");
      failing = true;
    }
  };
}
