import type { Scope } from "./scope.ts";
import type { Revocation } from "./sessions.ts";

/** A revocation and the transaction that wrote it. */
export interface StoredRevocation extends Revocation {
  readonly tx: bigint;
}

/** Where in a database's history something was read. */
export interface Position {
  /** Whose history: `<system identifier>.<timeline>`; another one after a restore or a failover. */
  readonly history: string;
  /** A `pg_snapshot`: which transactions were visible. */
  readonly snapshot: string;
}

/** Revocations that were not visible before, and the position to go on from. */
export interface RevocationPage {
  readonly position: Position;
  readonly revocations: StoredRevocation[];
}

/** Statements on `revocations`. */
export function createRevocationStore({ query }: Scope) {
  return {
    /**
     * Reads what has been committed since a snapshot; without one, all that is in force. Rows that commit late are seen
     * then: a sequence number would skip them.
     */
    async since(snapshot: string | null): Promise<RevocationPage> {
      const unseen = "AND tx >= pg_snapshot_xmin($1::pg_snapshot) AND NOT pg_visible_in_snapshot(tx, $1::pg_snapshot)";
      const rows = await query<Position & { sessionId: string | null; expiresAt: Date; tx: string }>(
        `SELECT r.session_id AS "sessionId", r.expires_at AS "expiresAt", r.tx::text AS tx, pg_current_snapshot()::text AS snapshot,
           (SELECT system_identifier FROM pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS history
         FROM (SELECT) one LEFT JOIN revocations r ON r.expires_at > now() ${snapshot === null ? "" : unseen}`,
        ...(snapshot === null ? [] : [snapshot]),
      );
      const [first] = rows;
      if (!first) throw new Error("a query without a condition gave no row");
      const revocations = rows.flatMap(({ sessionId, expiresAt, tx }) =>
        sessionId ? [{ sessionId, expiresAt, tx: BigInt(tx) }] : [],
      );
      return { position: { history: first.history, snapshot: first.snapshot }, revocations };
    },

    /** Renews the rows of a dump from another cluster, whose transactions lie in this one's future. */
    async adopt(): Promise<void> {
      await query("UPDATE revocations SET tx = DEFAULT WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())");
    },
  };
}
