import { setTimeout } from "node:timers/promises";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";

/** Something of the database, kept in memory and read again each second. */
export interface Polled<T> {
  /** As it was when it was last read. */
  value(): T;
  /** Milliseconds since it was last read. */
  age(): number;
  /** Reads it now. */
  read(): Promise<void>;
  /** Reads it within a moment, once for all who ask meanwhile: what strangers can cause costs no more. */
  reread(): Promise<void>;
  close(): Promise<void>;
}

const POLL_MS = 1000;
const REREAD_MS = 100;

/** Reads a value and goes on doing so. The first failure throws; of later ones in a row, the first is logged. */
export async function startPolled<T>(query: () => Promise<T>, what: string, log: Log): Promise<Polled<T>> {
  let newest = { turn: 0, value: await query(), readAt: performance.now() };
  let turns = 0;
  const read = async () => {
    const turn = ++turns;
    const readAt = performance.now();
    const value = await query();
    // An answer that was overtaken by a later one is older.
    if (turn > newest.turn) newest = { turn, value, readAt };
  };

  let failing = false;
  const polling = startPolling(POLL_MS, async () => {
    try {
      await read();
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ error }, `${what} cannot be read`);
      failing = true;
    }
  });

  let rereadAt = Number.NEGATIVE_INFINITY;
  let next: Promise<void> | null = null;
  return {
    value: () => newest.value,
    age: () => performance.now() - newest.readAt,
    read,
    reread() {
      // Never one that began before: what is asked for may be newer than its answer.
      next ??= setTimeout(Math.min(REREAD_MS, Math.max(0, rereadAt + REREAD_MS - performance.now()))).then(() => {
        next = null;
        rereadAt = performance.now();
        return read();
      });
      return next;
    },
    close: () => polling.close(),
  };
}
