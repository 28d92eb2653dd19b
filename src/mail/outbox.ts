import type { Database } from "../db/database.ts";
import type { Mail } from "../db/mails.ts";
import { messageOf } from "../failure.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
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
  readonly log: Log;
  readonly sendMail: SendMail;
  readonly render: (mail: Mail) => MailText;
}

const HURRY_MS = 5_000;

/** What sends mails: the queue has it carry out the jobs of SEND_MAIL. */
export interface Outbox {
  /** Rejects when the mail is to be tried again. */
  send(payload: unknown): Promise<void>;
  close(): Promise<void>;
}

/** Opens the outbox and, until closed, has the queue hurry. A mail that fails is tried again until its token expires. */
export async function openOutbox({ db, log, sendMail, render }: OutboxOptions): Promise<Outbox> {
  const send = createSender(db, sendMail, render);
  const hurry = () =>
    db
      .statement(({ outbox }) => outbox.hurry())
      .catch((error) => log.warn({ error }, "the queue cannot be looked after"));
  await hurry();
  const hurrying = startPolling(HURRY_MS, hurry);
  return { send: (payload) => send(readId(payload)), close: () => hurrying.close() };
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
