import { setTimeout as sleep } from "node:timers/promises";
import { type Database, isDatabaseAway } from "../db/database.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import { createAuditBacklog, type Note } from "./audit-backlog.ts";

/** How many events were noted in this process and what became of them; those that ride in a change are not among them. */
export interface AuditCounts {
  /** In the database, as one event each or in a sum. */
  readonly written: number;
  /** Of all: without what was known of them, since there were too many. */
  readonly summed: number;
  /** Gone: the database refused them, or was away when the process ended. */
  readonly lost: number;
  /** Not written yet. */
  readonly waiting: number;
}

/** Writes down what was refused, after it was: behind the back of the call, in batches. */
export interface Audit {
  /** Remembers an event, which is written within a second. Never waits and never throws. */
  note(note: Note): void;
  /** Writes what is remembered by now, if the database is there. Never throws. */
  flush(): Promise<void>;
  counts(): AuditCounts;
  /** Writes the rest, if that takes no more than a few seconds. */
  close(): Promise<void>;
}

const FLUSH_MS = 1_000;
const BATCH = 500;
const LONGEST_CLOSE_MS = 5_000;

/** Starts to write events. The connections of `db` should be of no other use: calls must not wait for these writes. */
export function startAudit(db: Database, log: Log): Audit {
  const backlog = createAuditBacklog();
  let written = 0;
  let lost = 0;
  let underWay = 0;
  let isAway = false;

  /** False when the database is away: what was to be written waits on. */
  const writeBatch = async (): Promise<boolean> => {
    const batch = backlog.take(BATCH);
    const events = batch.map(({ event, at }) => ({ ...event, ageMs: performance.now() - at }));
    const count = events.reduce((total, event) => total + event.count, 0);
    if (count === 0) return true;
    underWay = count;
    try {
      await db.statement(({ auditEvents }) => auditEvents.insert(events));
      written += count;
      return true;
    } catch (error) {
      if (isDatabaseAway(error)) {
        backlog.giveBack(batch);
        if (!isAway) log.warn({ error }, "audit events cannot be written now and wait");
        return false;
      }
      lost += count;
      log.error({ error, count }, "audit events were lost");
      return true;
    } finally {
      underWay = 0;
    }
  };
  const writeAll = async () => {
    do {
      isAway = !(await writeBatch());
    } while (!isAway && backlog.count() > 0);
  };

  let running = Promise.resolve();
  let next: Promise<void> | null = null;
  const flush = () => {
    // Never one that has begun: what is to be written may have come after.
    next ??= running.then(() => {
      next = null;
      running = writeAll();
      return running;
    });
    return next;
  };
  const polling = startPolling(FLUSH_MS, flush);

  const waiting = () => backlog.count() + underWay;
  return {
    note: backlog.add,
    flush,
    counts: () => ({ written, summed: backlog.summed(), lost, waiting: waiting() }),
    async close() {
      const end = polling.close().then(flush);
      await Promise.race([end, sleep(LONGEST_CLOSE_MS, undefined, { ref: false })]);
      const count = waiting();
      lost += count;
      if (count > 0) log.error({ count }, "audit events were lost: the database was away at the end");
    },
  };
}
