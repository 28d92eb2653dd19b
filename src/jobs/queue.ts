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
/** How long jobs under way may hold up a run that stops. */
const STOP_MS = 12_000;

/** Runs the jobs of a queue in the database until closed. */
export async function startQueue(connection: Connection, work: Work, log: Log): Promise<{ close(): Promise<void> }> {
  const start = () => startRun(connection, work, log);
  const closing = new AbortController();
  const running = keepRunning(await start(), start, closing.signal, log);
  return {
    async close() {
      closing.abort();
      await running;
    },
  };
}

/** The queue at work, until it is stopped or stops by itself, as it does when it loses the database. */
interface Run {
  readonly over: Promise<void>;
  stop(): Promise<void>;
}

/** Begins a run, with connections of its own: one that stops badly would keep them from the next. */
async function startRun(connection: Connection, { tasks, cron }: Work, log: Log): Promise<Run> {
  const { pgPool, cut } = createPool(connection, log);
  const runner = await run({
    ...{ pgPool, taskList: tasks, parsedCronItems: parseCronItems(cron) },
    ...{ concurrency: CONCURRENCY, pollInterval: POLL_MS },
    ...{ noHandleSignals: true, logger: queueLogger(log) },
    // Named statements fail behind pgbouncer in transaction mode. Without a batch, the end of a job that cannot be
    // written down is a rejection that nobody handles, and the end of the process; with one, it stops the runner.
    preset: { worker: { preparedStatements: false, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  }).catch(async (error) => {
    await cut();
    throw error;
  });
  // It may have stopped by itself.
  const halt = () => void runner.stop().catch(() => {});
  const over = Promise.race([runner.promise.catch(() => {}), untilStuck(runner).then(halt)]).then(cut);
  return {
    over,
    async stop() {
      halt();
      await over;
    },
  };
}

/** Resolves when a run should have stopped: its batches miscount when two fail, and it waits for ever for the last one. */
async function untilStuck({ events }: Runner): Promise<void> {
  await once(events, "pool:gracefulShutdown");
  await Promise.race([once(events, "pool:gracefulShutdown:complete"), sleep(STOP_MS, undefined, { ref: false })]);
  await sleep(POLL_MS, undefined, { ref: false });
}

function createPool(connection: Connection, log: Log): { pgPool: pg.Pool; cut: () => Promise<void> } {
  const timeouts = { connectionTimeoutMillis: 5_000, query_timeout: 10_000 };
  const pgPool = new pg.Pool({ ...connection, ...timeouts, max: CONCURRENCY, application_name: "latchkey queue" });
  const onLost = (error: Error) => log.warn({ error }, "the queue lost a connection");
  const clients = new Set<pg.PoolClient>();
  pgPool
    .on("error", onLost)
    .on("connect", (client) => void clients.add(client.on("error", onLost)))
    .on("remove", (client) => void clients.delete(client));
  /** Ends every connection: the pool would wait for those that nobody gives back. */
  const cut = async () => {
    pgPool.end().catch(() => {});
    const ends = [...clients].map((client) => (client as unknown as pg.Client).end());
    await Promise.race([Promise.allSettled(ends), sleep(POLL_MS, undefined, { ref: false })]);
  };
  return { pgPool, cut };
}

/** Runs the queue again whenever it has stopped, until `closing`. */
async function keepRunning(first: Run, start: () => Promise<Run>, closing: AbortSignal, log: Log): Promise<void> {
  let current: Run | null = first;
  const closed = once(closing, "abort");
  while (!closing.aborted) {
    await Promise.race([current?.over, closed]);
    if (closing.aborted) break;
    log.warn({}, "the queue starts again");
    await Promise.race([sleep(POLL_MS, undefined, { ref: false }), closed]);
    current = await start().catch(() => null);
  }
  await current?.stop();
}

function queueLogger(log: Log): Logger {
  return new Logger(() => (level, message) => {
    if (level === "error" || level === "warning") log.warn({ queue: message }, "queue");
    else log.debug({ queue: message }, "queue");
  });
}
