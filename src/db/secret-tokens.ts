import { fn, Op } from "sequelize";
import { recordedChange, type Trace } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";
import type { User } from "./users.ts";

/** What a mailed token is good for. */
export type Purpose = "confirm_email" | "reset_password";

/** A token to be mailed; lifetimes in milliseconds. */
export interface NewSecretToken {
  readonly purpose: Purpose;
  /** null: nobody; the row only costs what one for somebody does. */
  readonly user: Pick<User, "id" | "email"> | null;
  readonly ttl: number;
  /** Of the 6-digit code; null: it has none. */
  readonly codeTtl: number | null;
  /** What the audit log says of it; null: that is said elsewhere. */
  readonly event: MailRequest | null;
}

/** Somebody asked for the token, and nothing else. */
export interface MailRequest {
  readonly type: "confirmation_requested" | "password_reset_requested";
  /** Why the holder of the address, if there is one, gets no token. */
  readonly reason: "USER_NOT_FOUND" | "ALREADY_CONFIRMED" | null;
  readonly trace: Trace;
}

const MAX_CODE_TRIES = 5;
/** How long a used confirmation is told from one that never was, and every token kept. */
export const REMEMBERED = "interval '30 d'";

const TAKE_CODE_TRY = `UPDATE secret_tokens SET code_tries = code_tries + 1
  WHERE code_tries < ${MAX_CODE_TRIES} AND code_expires_at > now() AND id = (
    SELECT t.id FROM secret_tokens t JOIN users u ON u.id = t.user_id AND u.email = t.email
    WHERE u.email_key = $1 AND t.purpose = 'confirm_email' ORDER BY t.created_at DESC, t.id LIMIT 1)
  RETURNING id`;

/** Statements on `secret_tokens`. */
export function createSecretTokenStore({ query, models, options }: Scope) {
  return {
    /** Gives the id that the token is made from. */
    async insert({ purpose, user, ttl, codeTtl, event }: NewSecretToken): Promise<string> {
      const insert = `INSERT INTO secret_tokens (user_id, purpose, email, expires_at, code_expires_at)
        VALUES ($1, $2, $3, now() + $4 * interval '1 ms', now() + $5 * interval '1 ms') RETURNING id, user_id`;
      const bind = [user?.id ?? null, purpose, user?.email ?? "", ttl, codeTtl];
      const columns = { user_id: "user_id", reason: "$6::text" };
      const [row] = await query<{ id: string }>(
        ...(event
          ? recordedChange(insert, [...bind, event.reason], { ...event, columns })
          : ([insert, ...bind] as const)),
      );
      if (!row) throw new Error("an INSERT gave no row");
      return row.id;
    },

    /** Makes every earlier token of the purpose worthless. The account's row must be locked. */
    async supersede(userId: number, purpose: Purpose): Promise<void> {
      const where = { userId: String(userId), purpose, usedAt: null, supersededAt: null };
      await models.secretTokens.update({ supersededAt: fn("now") }, { where, ...options });
    },

    /** The account of an unused token, which stays unused. */
    async findOwner(id: string, purpose: Purpose): Promise<{ userId: number; username: string; email: string } | null> {
      const [row] = await query<{ userId: string; username: string; email: string }>(
        `SELECT u.id AS "userId", u.username, u.email FROM secret_tokens t JOIN users u ON u.id = t.user_id AND u.email = t.email
         WHERE t.id = $1 AND t.purpose = $2 AND t.used_at IS NULL AND t.superseded_at IS NULL AND t.expires_at > now()`,
        id,
        purpose,
      );
      return row ? { ...row, userId: Number(row.userId) } : null;
    },

    /** Spends a token; of two at once, one succeeds. */
    async use(id: string, purpose: Purpose): Promise<boolean> {
      const [changed] = await models.secretTokens.update(
        { usedAt: fn("now") },
        { where: { id, purpose, usedAt: null, supersededAt: null, expiresAt: { [Op.gt]: fn("now") } }, ...options },
      );
      return changed > 0;
    },

    /** Whether a confirmation was used, not too long ago. */
    async wasUsed(id: string): Promise<boolean> {
      const rows = await query(
        `SELECT 1 FROM secret_tokens WHERE id = $1 AND purpose = 'confirm_email' AND used_at IS NOT NULL AND expires_at > now() - ${REMEMBERED}`,
        id,
      );
      return rows.length > 0;
    },

    /** Takes one of the tries at the newest confirmation code mailed to an address; gives the token's id. */
    async takeCodeTry(emailKey: string): Promise<string | null> {
      const [row] = await query<{ id: string }>(TAKE_CODE_TRY, emailKey);
      return row?.id ?? null;
    },

    /**
     * The same, but writes a row of nobody's where there is no code to try: the one costs as much as the other. The next
     * clean-up takes the row, since anybody may cause any number of them.
     */
    async takeCodeTryOrWrite(emailKey: string): Promise<string | null> {
      const [row] = await query<{ id: string }>(
        `WITH taken AS (${TAKE_CODE_TRY}), untaken AS (
           INSERT INTO secret_tokens (purpose, email, expires_at)
           SELECT 'confirm_email', '', now() - ${REMEMBERED} WHERE NOT EXISTS (SELECT FROM taken))
         SELECT id FROM taken`,
        emailKey,
      );
      return row?.id ?? null;
    },
  };
}
