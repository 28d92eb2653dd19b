import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Logger, type Runner, run, type TaskList } from "graphile-worker";
import pg from "pg";
import type { Connection } from "../db/connection.ts";
import type { Database } from "../db/database.ts";
import { type Mail, SEND_MAIL } from "../db/mails.ts";
import type { Log } from "../log.ts";
import type { SendMail } from "./smtp.ts";

/** The text of a mail. */
export interface MailText {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** What sending takes. */
export interface OutboxOptions {
  readonly db: Database;
  readonly connection: Connection;
  readonly log: Log;
  readonly sendMail: SendMail;
  readonly render: (mail: Mail) => MailText;
}

const CONCURRENCY = 4;
const POLL_MS = 1_000;
const HURRY_MS = 5_000;

/** Sends what is in the outbox, now and as it comes, until closed. A mail that fails is tried again until its token expires. */
export async function startOutbox({
  db,
  connection,
  log,
  sendMail,
  render,
}: OutboxOptions): Promise<{ close(): Promise<void> }> {
  const pgPool = new pg.Pool({
    ...connection,
    max: CONCURRENCY,
    application_name: "latchkey outbox",
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
  });
  const onLost = (error: Error) => log.warn({ err: error }, "the queue lost a connection");
  pgPool.on("error", onLost).on("connect", (client) => void client.on("error", onLost));
  const send = createSender(db, sendMail, render);
  const taskList: TaskList = { [SEND_MAIL]: (payload) => send(readId(payload)) };
  const hurry = () =>
    db
      .statement(({ outbox }) => outbox.hurry())
      .catch((error) => log.warn({ err: error }, "the queue cannot be looked after"));
  await hurry();
  const start = () =>
    run({
      ...{ pgPool, taskList, concurrency: CONCURRENCY, pollInterval: POLL_MS },
      ...{ noHandleSignals: true, logger: queueLogger(log) },
      // Named statements fail behind pgbouncer in transaction mode. Without a batch, the end of a job that cannot be
      // written down is a rejection that nobody handles, and the end of the process; with one, it stops the runner.
      preset: { worker: { preparedStatements: false, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    });
  const closing = new AbortController();
  const running = keepRunning(await start(), start, closing.signal, log);
  const timer = setInterval(hurry, HURRY_MS);
  return {
    async close() {
      clearInterval(timer);
      closing.abort();
      await running;
      await pgPool.end();
    },
  };
}

/** Runs the queue again whenever it has stopped, as it does when it loses the database, until `closing`. */
async function keepRunning(first: Runner, start: () => Promise<Runner>, closing: AbortSignal, log: Log): Promise<void> {
  let runner: Runner | null = first;
  const closed = once(closing, "abort");
  while (!closing.aborted) {
    if (runner) await Promise.race([runner.promise.catch(() => {}), closed]);
    if (closing.aborted) break;
    log.warn({}, "the mail queue starts again");
    await Promise.race([sleep(POLL_MS, undefined, { ref: false }), closed]);
    runner = await start().catch(() => null);
  }
  // It may have stopped by itself.
  await runner?.stop().catch(() => {});
}

function createSender(db: Database, sendMail: SendMail, render: OutboxOptions["render"]) {
  return async (id: number): Promise<void> => {
    const mail = await db.statement(({ outbox }) => outbox.find(id));
    if (mail?.state !== "queued") return;
    if (mail.giveUp) return db.statement(({ outbox }) => outbox.markFailed(id));
    try {
      await sendMail({ id, to: mail.recipient, ...render(mail) });
    } catch (error) {
      await db.statement(({ outbox }) => outbox.markTried(id, error instanceof Error ? error.message : String(error)));
      throw error;
    }
    await db.statement(({ outbox }) => outbox.markSent(id));
  };
}

function readId(payload: unknown): number {
  return Number((payload as { id: number }).id);
}

function queueLogger(log: Log): Logger {
  return new Logger(() => (level, message) => {
    if (level === "error" || level === "warning") log.warn({ queue: message }, "mail queue");
    else log.debug({ queue: message }, "mail queue");
  });
}
