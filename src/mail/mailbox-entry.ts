/** One mail as the development mailbox shows it. */
export interface MailboxEntry {
  readonly id: number;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly createdAt: Date;
  readonly state: string;
  /** The link that the mail asks to follow. */
  readonly link: string;
  /** The 6-digit code; null in a mail without one. */
  readonly code: string | null;
}

/** Where the development mailbox finds its mails, newest first. */
export interface Mailbox {
  list(filter: { to?: string }): Promise<MailboxEntry[]>;
  find(id: number): Promise<MailboxEntry | null>;
}
