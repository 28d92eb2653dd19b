import { DatabaseError, UniqueConstraintError } from "sequelize";
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
    async changePassword({ userId, sessionId }: Owner, compared: string, passwordHash: string): Promise<boolean> {
      const rows = await query(
        `UPDATE users u SET password_hash = $4 WHERE u.password_hash = $3 AND ${OWNED} RETURNING u.id`,
        ...[userId, sessionId, compared, passwordHash],
      );
      return rows.length > 0;
    },

    /** Must be the only statement of its transaction, which a taken username undoes. */
    async update({ userId, sessionId }: Owner, { username, locale }: AccountChange): Promise<User | "taken" | null> {
      const update = query<UserColumns>(
        `UPDATE users u SET username = coalesce($3, u.username), username_key = coalesce($4, u.username_key),
           locale = coalesce($5, u.locale)
         WHERE ${OWNED} RETURNING ${USER_COLUMNS}`,
        ...[userId, sessionId, username?.username ?? null, username?.usernameKey ?? null, locale],
      );
      try {
        const [row] = await update;
        return row ? toUser(row) : null;
      } catch (error) {
        if (error instanceof UniqueConstraintError || isDeadlock(error)) return "taken";
        throw error;
      }
    },
  };
}

// Two who want each other's name wait for each other: both names were taken when they asked.
function isDeadlock(error: unknown): boolean {
  return error instanceof DatabaseError && (error.original as { code?: unknown }).code === "40P01";
}
