import { UniqueConstraintError } from "sequelize";
import { NAMES_LOCK } from "./advisory-locks.ts";
import { recordedChange, type Trace } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";
import {
  ACTIVE,
  CREDENTIAL_COLUMNS,
  type CredentialColumns,
  type Credentials,
  type Identifiers,
  toCredentials,
  toUser,
  USER_COLUMNS,
  type User,
  type UserColumns,
} from "./users.ts";

/** Whose account it is, and the session that speaks for them. */
export interface Owner {
  readonly userId: number;
  readonly sessionId: string;
}

/** What the owner changes; null stays as it is. */
export interface AccountChange {
  readonly username: Pick<Identifiers, "username" | "usernameKey"> | null;
  readonly locale: string | null;
}

/** Of statements whose $1 and $2 are the owner: as long as the session lives and the account is not blocked. */
const OWNED = `u.id = $1 AND ${ACTIVE}
  AND EXISTS (SELECT 1 FROM sessions s WHERE s.id = $2 AND s.user_id = u.id AND s.ended_at IS NULL AND s.expires_at > now())`;

/** Of `update`, for the audit log. */
const CHANGED_NAMES =
  "concat_ws(', ', CASE WHEN $3 IS NOT NULL THEN 'username' END, CASE WHEN $5 IS NOT NULL THEN 'locale' END)";

/** Statements on the account of a session, for which they find nothing once it has ended. */
export function createOwnAccountStore({ query }: Scope) {
  return {
    async findCredentials({ userId, sessionId }: Owner): Promise<Credentials | null> {
      const sql = `SELECT ${CREDENTIAL_COLUMNS} FROM users u WHERE ${OWNED}`;
      const [row] = await query<CredentialColumns>(sql, userId, sessionId);
      return row ? toCredentials(row) : null;
    },

    /**
     * Puts a hash in the place of the one that was compared; false when another is there by now. A contested password
     * stays contested, since nobody has proved the address. The account's row must be locked.
     */
    async changePassword(
      { userId, sessionId }: Owner,
      { compared, passwordHash }: { readonly compared: string; readonly passwordHash: string },
      trace: Trace,
    ): Promise<boolean> {
      const update = `UPDATE users u SET password_hash = $4 WHERE u.password_hash = $3 AND ${OWNED} RETURNING u.id`;
      const bind = [userId, sessionId, compared, passwordHash];
      const columns = { user_id: "id", session_id: "$2" };
      const rows = await query(...recordedChange(update, bind, { type: "password_changed", columns, trace }));
      return rows.length > 0;
    },

    /** Makes other changes of names wait until the transaction ends: two who swap theirs would wait for each other. */
    async lockNames(): Promise<void> {
      await query("SELECT pg_advisory_xact_lock($1)", NAMES_LOCK);
    },

    /** Must be the last statement of its transaction, which a taken username undoes. */
    async update(
      { userId, sessionId }: Owner,
      { username, locale }: AccountChange,
      trace: Trace,
    ): Promise<User | "taken" | null> {
      const update = `UPDATE users u SET username = coalesce($3, u.username), username_key = coalesce($4, u.username_key),
          locale = coalesce($5, u.locale)
        WHERE ${OWNED} RETURNING ${USER_COLUMNS}`;
      const bind = [userId, sessionId, username?.username ?? null, username?.usernameKey ?? null, locale];
      const columns = { user_id: "id", session_id: "$2", detail: CHANGED_NAMES };
      const event = { type: "account_updated" as const, columns, trace, when: "coalesce($3, $5) IS NOT NULL" };
      try {
        const [row] = await query<UserColumns>(...recordedChange(update, bind, event));
        return row ? toUser(row) : null;
      } catch (error) {
        if (error instanceof UniqueConstraintError) return "taken";
        throw error;
      }
    },
  };
}
