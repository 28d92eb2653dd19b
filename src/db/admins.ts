import type { Scope } from "./scope.ts";
import { ACTIVE } from "./users.ts";

// Taken before the last active admin is looked for, so that two admins who block each other at once leave one.
const ADMINS_LOCK = 7_217_001;

/** Statements on the accounts that have the role `admin`. */
export function createAdminStore({ query }: Scope) {
  return {
    /** Makes who may take away admins wait for each other until the transaction ends. */
    async lock(): Promise<void> {
      await query("SELECT pg_advisory_xact_lock($1)", ADMINS_LOCK);
    },

    /** Whether an account that is not blocked, other than this one, is an admin's. */
    async hasOtherActive(userId: number): Promise<boolean> {
      const rows = await query(
        `SELECT 1 FROM users u WHERE u.id <> $1 AND 'admin' = ANY (u.roles) AND ${ACTIVE} LIMIT 1`,
        userId,
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
