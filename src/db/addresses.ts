import { ADDRESS_LOCKS } from "./advisory-locks.ts";
import type { Scope } from "./scope.ts";
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
  };
}
