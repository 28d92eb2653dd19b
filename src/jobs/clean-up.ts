import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../db/database.ts";
import { PURGE_BATCH, PURGED_TABLES, type PurgedTable, type PurgeSettings } from "../db/purges.ts";
import type { Log } from "../log.ts";

/** What a clean-up did. */
export interface CleanUpReport {
  /** How many rows of each table were deleted. */
  readonly deleted: Readonly<Record<PurgedTable, number>>;
  /** Tables of which some may be left, for a reason that the log tells. */
  readonly failed: readonly PurgedTable[];
  readonly ms: number;
}

/** What deletes what is over. */
export interface CleanUp {
  /** Joins the run under way, where there is one. */
  run(): Promise<CleanUpReport>;
  /** Ends the run under way after its batch. */
  close(): Promise<void>;
}

/** What a clean-up takes; `tell` hears of each run. */
export interface CleanUpOptions {
  readonly db: Database;
  readonly settings: PurgeSettings;
  readonly log: Log;
  readonly tell: (report: CleanUpReport) => void;
}

/** Name of the queue's task. */
export const CLEAN_UP = "clean-up";

/**
 * When the queue runs it: each hour, and at a start if every process was away at that time. Another run does no harm, and
 * the next one makes up for what is missed, so a failed one need not be tried again.
 */
export const CLEAN_UP_CRON = { task: CLEAN_UP, match: "17 * * * *", options: { backfillPeriod: 3_600_000 } };

const SHORTEST_PAUSE_MS = 50;

/** Deletes what is over, a batch at a time; several processes at once delete each their part. */
export function createCleanUp({ db, settings, log, tell }: CleanUpOptions): CleanUp {
  const closing = new AbortController();
  const { signal } = closing;

  /** Works for half of the time at most: a database that is slow has more to do than this. */
  const purge = async (table: PurgedTable, count: (rows: number) => void): Promise<void> => {
    while (!signal.aborted) {
      const begunAt = performance.now();
      const rows = await db.transaction(({ purges }) => purges.purge(table, settings));
      count(rows);
      if (rows < PURGE_BATCH) return;
      const pause = Math.max(SHORTEST_PAUSE_MS, performance.now() - begunAt);
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  };

  const runThrough = async (): Promise<CleanUpReport> => {
    const begunAt = performance.now();
    const deleted = Object.fromEntries(PURGED_TABLES.map((table) => [table, 0])) as Record<PurgedTable, number>;
    const failed: PurgedTable[] = [];
    for (const table of PURGED_TABLES) {
      const count = (rows: number) => {
        deleted[table] += rows;
      };
      await purge(table, count).catch((error) => {
        log.warn({ error, table }, "a table cannot be cleaned up");
        failed.push(table);
      });
    }
    const report = { deleted, failed, ms: Math.round(performance.now() - begunAt) };
    tell(report);
    return report;
  };

  let running: Promise<CleanUpReport> | null = null;
  return {
    run() {
      running ??= runThrough().finally(() => {
        running = null;
      });
      return running;
    },
    async close() {
      closing.abort();
      await running;
    },
  };
}
