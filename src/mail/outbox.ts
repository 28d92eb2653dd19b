import type { Connection } from "../db/connection.ts";
import type { Database } from "../db/database.ts";
import { type Mail, SEND_MAIL } from "../db/mails.ts";
import { messageOf } from "../failure.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import { startQueue } from "./queue.ts";
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

const HURRY_MS = 5_000;

/** Sends what is in the outbox, now and as it comes, until closed. A mail that fails is tried again until its token expires. */
export async function startOutbox(options: OutboxOptions): Promise<{ close(): Promise<void> }> {
  const { db, connection, log, sendMail, render } = options;
  const send = createSender(db, sendMail, render);
  const hurry = () =>
    db
      .statement(({ outbox }) => outbox.hurry())
      .catch((error) => log.warn({ err: error }, "the queue cannot be looked after"));
  await hurry();
  const queue = await startQueue(connection, { [SEND_MAIL]: (payload) => send(readId(payload)) }, log);
  const hurrying = startPolling(HURRY_MS, hurry);
  return {
    async close() {
      await hurrying.close();
      await queue.close();
    },
  };
}

function createSender(db: Database, sendMail: SendMail, render: OutboxOptions["render"]) {
  return async (id: number): Promise<void> => {
    const mail = await db.statement(({ outbox }) => outbox.find(id));
    if (mail?.state !== "queued") return;
    if (mail.giveUp) return db.statement(({ outbox }) => outbox.markFailed(id));
    try {
      await sendMail({ id, createdAt: mail.createdAt, to: mail.recipient, ...render(mail) });
    } catch (error) {
      await db.statement(({ outbox }) => outbox.markTried(id, messageOf(error)));
      throw error;
    }
    await db.statement(({ outbox }) => outbox.markSent(id));
  };
}

function readId(payload: unknown): number {
  return Number((payload as { id: number }).id);
}
