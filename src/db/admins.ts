import { ADMINS_LOCK } from "./advisory-locks.ts";
import type { Scope } from "./scope.ts";
import { ACTIVE } from "./users.ts";

/** Statements on the accounts that have the role `admin`. */
export function createAdminStore({ query }: Scope) {
  return {
    /** Makes who may take away admins wait for each other until the transaction ends. */
    async lock(): Promise<void> {
      await query("SELECT pg_advisory_xact_lock($1)", ADMINS_LOCK);
    },

    /** Whether an account other than this one is an admin's who can sign in. */
    async hasOtherUsable(userId: number, confirmationRequired: boolean): Promise<boolean> {
      const rows = await query(
        `SELECT 1 FROM users u WHERE u.id <> $1 AND 'admin' = ANY (u.roles) AND ${ACTIVE}
           AND u.password_hash IS NOT NULL AND (u.email_confirmed_at IS NOT NULL OR NOT $2) LIMIT 1`,
        userId,
        confirmationRequired,
      );
      return rows.length > 0;
    },

    /** Whether the session lives and its account, not blocked, has the role `admin` now. */
    async includes(userId: number, sessionId: string): Promise<boolean> {
      const rows = await query(
        `SELECT 1 FROM users u JOIN sessions s ON s.user_id = u.id
         WHERE u.id = $1 AND s.id = $2 AND s.ended_at IS NULL AND 'admin' = ANY (u.roles) AND ${ACTIVE}`,
        userId,
        sessionId,
      );
      return rows.length > 0;
    },
  };
}
