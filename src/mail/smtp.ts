import { setTimeout as delay } from "node:timers/promises";
import { createTransport } from "nodemailer";
import type { Secret } from "../secret.ts";

/** A mail as it goes out. */
export interface OutgoingMail {
  /** Id of its row in the outbox. */
  readonly id: number;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** Hands a mail over; rejects when it was not taken. */
export type SendMail = (mail: OutgoingMail) => Promise<void>;

const CONNECT_MS = 4_000;
const SILENCE_MS = 6_000;
/** All the time that a mail may take: shorter than that after which the queue gives the job to another process. */
export const WHOLE_MAIL_MS = 10_000;

/** How long each step of a connection may take. */
export const SMTP_TIMEOUTS = {
  connectionTimeout: CONNECT_MS,
  greetingTimeout: CONNECT_MS,
  dnsTimeout: CONNECT_MS,
  socketTimeout: SILENCE_MS,
};

/** Sends by SMTP; a server that hangs costs a mail 10 s. */
export function createSmtp(url: Secret, from: string, publicUrl: string): SendMail {
  const { hostname } = new URL(publicUrl);
  return async ({ id, to, subject, text, html }) => {
    const transport = createTransport({
      url: url.reveal(),
      ...SMTP_TIMEOUTS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    const timer = new AbortController();
    const tooLate = delay(WHOLE_MAIL_MS, undefined, { signal: timer.signal }).then(() => {
      throw new Error("the SMTP server took too long");
    });
    const headers = { "Auto-Submitted": "auto-generated" };
    // The same for each try, so that a mail sent twice is one to who receives it.
    const messageId = `<mail-${id}@${hostname}>`;
    try {
      await Promise.race([
        transport.sendMail({ from, to: { name: "", address: to }, subject, text, html, messageId, headers }),
        tooLate,
      ]);
    } finally {
      timer.abort();
      transport.close();
      await tooLate.catch(() => {});
    }
  };
}
