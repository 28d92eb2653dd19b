import { ADDRESS_LOCKS } from "./advisory-locks.ts";
import { recordEvents, type Trace, traceValues } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";
import { type Counted, giveBackHeld, heldCounts } from "./throttle.ts";
import { toUser, USER_COLUMNS, type User, type UserColumns } from "./users.ts";

/** Statements on e-mail addresses, whether an account has them or not. */
export function createAddressStore({ query }: Scope) {
  return {
    /**
     * Gives the account with an address, its row locked. Whoever else asks for the address waits until the transaction
     * ends, also where no account has it: that somebody waits would tell.
     */
    async lock(emailKey: string): Promise<User | null> {
      await query(`SELECT pg_advisory_xact_lock(hashtextextended($1, ${ADDRESS_LOCKS}))`, emailKey);
      // In a statement of its own, which sees what those before in the queue did.
      const [row] = await query<UserColumns>(
        `SELECT ${USER_COLUMNS} FROM users u WHERE u.email_key = $1 FOR NO KEY UPDATE`,
        emailKey,
      );
      return row ? toUser(row) : null;
    },

    /** Remembers, if so, that somebody else may have chosen the password of an address nobody has proved. Writes either way. */
    async contest(userId: number, isContested: boolean): Promise<void> {
      await query(
        `UPDATE users SET password_contested = password_contested OR ($2 AND email_confirmed_at IS NULL) WHERE id = $1`,
        userId,
        isContested,
      );
    },

    /**
     * Spends a confirmation token; a contested password goes with it, and what was counted for the call is given back.
     * Null when there is nothing to confirm with it.
     */
    async confirm(
      tokenId: string,
      counted: Counted,
      trace: Trace,
    ): Promise<{ user: User; passwordRequired: boolean } | null> {
      const [row] = await query<UserColumns & { passwordRequired: boolean }>(
        `WITH t AS (
           UPDATE secret_tokens SET used_at = now()
           WHERE id = $1 AND purpose = 'confirm_email' AND used_at IS NULL AND superseded_at IS NULL AND expires_at > now()
           RETURNING user_id, email),
         confirmed AS (
           UPDATE users u SET email_confirmed_at = now(), password_contested = false,
             password_hash = CASE WHEN u.password_contested THEN NULL ELSE u.password_hash END
           FROM t WHERE u.id = t.user_id AND u.email = t.email AND u.email_confirmed_at IS NULL
           RETURNING ${USER_COLUMNS}, u.password_hash IS NULL AS "passwordRequired"),
         event AS (${recordEvents("email_confirmed", "confirmed", { user_id: "id" }, 4)}),
         held AS (${heldCounts("$2", "EXISTS (SELECT 1 FROM confirmed)")}),
         given_back AS (${giveBackHeld("$3::timestamptz")})
         SELECT * FROM confirmed`,
        ...[tokenId, counted.keys, counted.at, ...traceValues(trace)],
      );
      return row ? { user: toUser(row), passwordRequired: row.passwordRequired } : null;
    },
  };
}
