import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { type CronItem, Logger, parseCronItems, type Runner, run, type TaskList } from "graphile-worker";
import pg from "pg";
import type { Connection } from "../db/connection.ts";
import type { Log } from "../log.ts";

/** What the queue does: a task for each kind of job, and the jobs that come by themselves. */
export interface Work {
  readonly tasks: TaskList;
  /** Of all processes together, one runs each; times are in UTC. */
  readonly cron: CronItem[];
}

/** Jobs that run at once, each with a connection to the database. */
export const CONCURRENCY = 4;
const POLL_MS = 1_000;

/** Runs the jobs of a queue in the database until closed. */
export async function startQueue(connection: Connection, work: Work, log: Log): Promise<{ close(): Promise<void> }> {
  const pgPool = createPool(connection, log);
  const start = () =>
    run({
      ...{ pgPool, taskList: work.tasks, parsedCronItems: parseCronItems(work.cron) },
      ...{ concurrency: CONCURRENCY, pollInterval: POLL_MS },
      ...{ noHandleSignals: true, logger: queueLogger(log) },
      // Named statements fail behind pgbouncer in transaction mode. Without a batch, the end of a job that cannot be
      // written down is a rejection that nobody handles, and the end of the process; with one, it stops the runner.
      preset: { worker: { preparedStatements: false, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    });
  const closing = new AbortController();
  const first = await start().catch(async (error) => {
    await pgPool.end();
    throw error;
  });
  const running = keepRunning(first, start, closing.signal, log);
  return {
    async close() {
      closing.abort();
      await running;
      await pgPool.end();
    },
  };
}

function createPool(connection: Connection, log: Log): pg.Pool {
  const timeouts = { connectionTimeoutMillis: 5_000, query_timeout: 10_000 };
  const pool = new pg.Pool({ ...connection, ...timeouts, max: CONCURRENCY, application_name: "latchkey queue" });
  const onLost = (error: Error) => log.warn({ err: error }, "the queue lost a connection");
  return pool.on("error", onLost).on("connect", (client) => void client.on("error", onLost));
}

/** Runs the queue again whenever it has stopped, as it does when it loses the database, until `closing`. */
async function keepRunning(first: Runner, start: () => Promise<Runner>, closing: AbortSignal, log: Log): Promise<void> {
  let runner: Runner | null = first;
  const closed = once(closing, "abort");
  while (!closing.aborted) {
    if (runner) await Promise.race([runner.promise.catch(() => {}), closed]);
    if (closing.aborted) break;
    log.warn({}, "the queue starts again");
    await Promise.race([sleep(POLL_MS, undefined, { ref: false }), closed]);
    runner = await start().catch(() => null);
  }
  // It may have stopped by itself.
  await runner?.stop().catch(() => {});
}

function queueLogger(log: Log): Logger {
  return new Logger(() => (level, message) => {
    if (level === "error" || level === "warning") log.warn({ queue: message }, "queue");
    else log.debug({ queue: message }, "queue");
  });
}
