import type { Scope } from "./scope.ts";
import type { Revocation } from "./sessions.ts";

/** Revocations that were not visible at the cursor, and the cursor to go on from. */
export interface RevocationPage {
  readonly cursor: string;
  readonly revocations: Revocation[];
}

/** Statements on `revocations`. */
export function createRevocationStore({ query }: Scope) {
  return {
    /**
     * Reads what has been committed since the cursor, a `pg_snapshot`; without one all that is in force. Rows that
     * commit late are seen then: a sequence number would skip them.
     */
    async since(cursor: string | null): Promise<RevocationPage> {
      const rows = await query<{ sessionId: string | null; expiresAt: Date | null; cursor: string }>(
        `SELECT session_id AS "sessionId", expires_at AS "expiresAt", pg_current_snapshot()::text AS cursor
         FROM (SELECT) one LEFT JOIN revocations ON expires_at > now() ${cursor === null ? "" : "AND tx >= pg_snapshot_xmin($1::pg_snapshot) AND NOT pg_visible_in_snapshot(tx, $1::pg_snapshot)"}`,
        ...(cursor === null ? [] : [cursor]),
      );
      const revocations = rows.flatMap(({ sessionId, expiresAt }) =>
        sessionId && expiresAt ? [{ sessionId, expiresAt }] : [],
      );
      return { cursor: rows[0]?.cursor ?? "", revocations };
    },

    /** Renews the rows of a dump from another cluster, whose transactions lie in this one's future. */
    async adopt(): Promise<void> {
      await query("UPDATE revocations SET tx = DEFAULT WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())");
    },
  };
}
