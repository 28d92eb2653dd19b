import { fn } from "sequelize";
import type { Scope } from "./scope.ts";
import type { User } from "./users.ts";

/** Which text a mail has. */
export type MailTemplate = TokenTemplate | NoticeTemplate;

/** Of a mail that carries a token. */
export type TokenTemplate = "confirm-email" | "reset-password" | "choose-password";

/** Of a mail that only tells what has happened. */
export type NoticeTemplate = "password-changed" | "address-in-use" | "already-confirmed";

/** A mail with what its text is made from. */
export interface Mail {
  readonly id: number;
  readonly template: MailTemplate;
  readonly recipient: string;
  readonly username: string;
  /** null in a mail without a token. */
  readonly secretTokenId: string | null;
  readonly state: "queued" | "sent" | "failed";
  readonly createdAt: Date;
  readonly giveUp: boolean;
}

/** How the outbox is getting on. */
export interface Backlog {
  readonly waiting: number;
  /** How long the oldest of them has waited; 0 when there is none. */
  readonly oldestSeconds: number;
  /** Never sent, of the mails of the last two days. */
  readonly givenUp: number;
}

/** Name of the queue's task that sends a mail; its payload is `{ id }`. */
export const SEND_MAIL = "send-mail";

const NEWEST = 200;
const LONGEST_BACKOFF = "interval '30 s'";
// A mail that has been locked for longer belongs to a process that was killed.
const LONGEST_JOB = "interval '15 s'";
const MAX_ERROR = 500;
const NOTICE_TTL = "interval '24 h'";

// Of the row that `m` has inserted.
const ADD_JOB = `SELECT graphile_worker.add_job('${SEND_MAIL}', json_build_object('id', id), job_key := 'mail:' || id, max_attempts := 32000) FROM m`;

const MAILS = `SELECT m.id, m.template, m.recipient, m.secret_token_id AS "secretTokenId", m.state, m.created_at AS "createdAt",
    m.give_up_at <= now() AS "giveUp", u.username
  FROM mails m JOIN users u ON u.id = m.user_id`;

/** Statements on `mails`, the outbox: a row for the record, a job of graphile-worker to have it sent. */
export function createMailStore({ query, models, options }: Scope) {
  const toMail = (row: Omit<Mail, "id"> & { id: string }): Mail => ({ ...row, id: Number(row.id) });

  return {
    /**
     * Puts a mail into the outbox for whom a token was made; it is given up when the token expires. A token of nobody's
     * makes a cancelled mail to nobody, and a job that finds nothing to send.
     */
    async add(template: MailTemplate, secretTokenId: string): Promise<void> {
      await query(
        `WITH m AS (
           INSERT INTO mails (user_id, template, recipient, secret_token_id, state, give_up_at)
           SELECT user_id, $1, email, id, CASE WHEN user_id IS NULL THEN 'cancelled' ELSE 'queued' END, expires_at
           FROM secret_tokens WHERE id = $2 RETURNING id)
         ${ADD_JOB}`,
        template,
        secretTokenId,
      );
    },

    /** Puts a mail without a token into the outbox; it is given up after a day. */
    async addNotice(template: NoticeTemplate, { id, email }: Pick<User, "id" | "email">): Promise<void> {
      await query(
        `WITH m AS (
           INSERT INTO mails (user_id, template, recipient, give_up_at) VALUES ($1, $2, $3, now() + ${NOTICE_TTL}) RETURNING id)
         ${ADD_JOB}`,
        ...[id, template, email],
      );
    },

    async find(id: number): Promise<Mail | null> {
      const [row] = await query<Omit<Mail, "id"> & { id: string }>(`${MAILS} WHERE m.id = $1`, id);
      return row ? toMail(row) : null;
    },

    /** The newest ones, of everybody or to one address as it was typed. */
    async list(recipient?: string): Promise<Mail[]> {
      const rows = await query<Omit<Mail, "id"> & { id: string }>(
        `${MAILS} WHERE $1::text IS NULL OR lower(m.recipient) = lower($1) ORDER BY m.id DESC LIMIT ${NEWEST}`,
        recipient ?? null,
      );
      return rows.map(toMail);
    },

    /** Of the last two days: no mail waits for longer. */
    async backlog(): Promise<Backlog> {
      const [row] = await query<Backlog>(
        `SELECT count(*) FILTER (WHERE state = 'queued')::int AS waiting, count(*) FILTER (WHERE state = 'failed')::int AS "givenUp",
           coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'queued')), 0)::float8 AS "oldestSeconds"
         FROM mails WHERE created_at > now() - interval '2 days'`,
      );
      return row ?? { waiting: 0, oldestSeconds: 0, givenUp: 0 };
    },

    async markSent(id: number): Promise<void> {
      await models.mails.update({ state: "sent", sentAt: fn("now") }, { where: { id: String(id) }, ...options });
    },

    async markTried(id: number, error: string): Promise<void> {
      await query(
        `UPDATE mails SET attempts = attempts + 1, last_error = $2 WHERE id = $1`,
        id,
        error.slice(0, MAX_ERROR),
      );
    },

    /**
     * Gives back the jobs of killed processes, which the queue would keep locked for hours, and brings forward what its
     * backoff has put far off: a mail is waited for. Only mails tell of a kill, since all that a process has locked is
     * given back, and a clean-up may take its time.
     */
    async hurry(): Promise<void> {
      await query(
        `SELECT graphile_worker.force_unlock_workers(array_agg(DISTINCT locked_by)) FROM graphile_worker.jobs
         WHERE task_identifier = '${SEND_MAIL}' AND locked_at < now() - ${LONGEST_JOB} HAVING count(*) > 0`,
      );
      await query(
        `SELECT graphile_worker.reschedule_jobs(array_agg(id), run_at := now() + ${LONGEST_BACKOFF}) FROM graphile_worker.jobs
         WHERE task_identifier = '${SEND_MAIL}' AND locked_at IS NULL AND run_at > now() + ${LONGEST_BACKOFF} HAVING count(*) > 0`,
      );
    },

    async markFailed(id: number): Promise<void> {
      await models.mails.update({ state: "failed" }, { where: { id: String(id) }, ...options });
    },
  };
}
