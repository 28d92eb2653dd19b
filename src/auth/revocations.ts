import { type Clock, now } from "../clock.ts";
import type { Database } from "../db/database.ts";
import type { Revocation } from "../db/sessions.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import { AuthError } from "./errors.ts";

/** The revocations in force, in memory. */
export interface Revocations {
  /** Makes this process know at once what it has just committed; the others find it at their next poll. */
  add(revocations: readonly Revocation[]): void;
  /** Whether a session was ended. Throws UNAVAILABLE when that is not known: better than a stale yes to a token. */
  has(sessionId: string): boolean;
  close(): Promise<void>;
}

const POLL_MS = 50;
const STALE_MS = 10_000;
const SWEEP_MS = 60_000;

/** Loads what is in force and keeps polling for more. */
export async function watchRevocations(db: Database, clock: Clock, log: Log): Promise<Revocations> {
  const expiries = new Map<string, number>();
  const add = (revocations: readonly Revocation[]) => {
    for (const { sessionId, expiresAt } of revocations) expiries.set(sessionId, expiresAt.getTime());
  };
  const sweep = () => {
    for (const [sessionId, expiry] of expiries) if (expiry <= now(clock)) expiries.delete(sessionId);
  };

  let cursor: string | null = null;
  let freshAt = 0;
  let failing = false;
  const poll = async () => {
    const begunAt = performance.now();
    const page = await db.statement(({ revocations }) => revocations.since(cursor));
    add(page.revocations);
    cursor = page.cursor;
    freshAt = begunAt;
  };
  const pollOrForget = async () => {
    try {
      await poll();
      if (failing) log.info({}, "revocations are known again");
      failing = false;
    } catch (error) {
      // The database may come back as another one: what is in force is read anew.
      cursor = null;
      if (!failing) log.warn({ err: error }, "revocations cannot be read");
      failing = true;
    }
  };

  await db.statement(({ revocations }) => revocations.adopt());
  await poll();
  const polling = startPolling(POLL_MS, pollOrForget);
  const sweeper = setInterval(sweep, SWEEP_MS).unref();

  return {
    add,
    has(sessionId) {
      if (performance.now() - freshAt > STALE_MS) throw new AuthError("UNAVAILABLE");
      return (expiries.get(sessionId) ?? 0) > now(clock);
    },
    async close() {
      clearInterval(sweeper);
      await polling.close();
    },
  };
}
