import type { Database } from "../db/database.ts";
import type { Mail } from "../db/mails.ts";
import type { Mailbox, MailboxEntry } from "./mailbox-entry.ts";
import type { MailText } from "./outbox.ts";

/** The development mailbox: every mail as it was or would be sent, from the rows of the outbox. */
export function createMailbox(
  db: Database,
  render: (mail: Mail) => MailText & { readonly link: string; readonly code: string | null },
): Mailbox {
  const toEntry = (mail: Mail): MailboxEntry => {
    const { subject, text, html, link, code } = render(mail);
    const { id, recipient, createdAt, state } = mail;
    return { id, to: recipient, subject, text, html, createdAt, state, link, code };
  };
  return {
    list: async ({ to }) => (await db.statement(({ outbox }) => outbox.list(to))).map(toEntry),
    async find(id) {
      const mail = await db.statement(({ outbox }) => outbox.find(id));
      return mail && toEntry(mail);
    },
  };
}
