import { DatabaseError } from "sequelize";
import type { Scope } from "./scope.ts";
import type { Revocation } from "./session-endings.ts";

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
  /** The database's time when they were read. */
  readonly readAt: Date;
}

type Row = Position & { readAt: Date; sessionId: string | null; expiresAt: Date; tx: string };

const HISTORY =
  "(SELECT system_identifier FROM pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)";

/** Statements on `revocations`. */
export function createRevocationStore({ query }: Scope) {
  return {
    /** Which history the database has; null where it refuses to tell, as some hosts' do. */
    async history(): Promise<string | null> {
      const [row] = await query<{ history: string }>(`SELECT ${HISTORY} AS history`).catch(absentIfRefused);
      return row?.history ?? null;
    },

    /**
     * Reads what has been committed since a snapshot; without one, all that is in force. Rows that commit late are seen
     * then: a sequence number would skip them. `history` stands in for what the database does not tell.
     */
    async since(snapshot: string | null, history: string | null): Promise<RevocationPage> {
      const bind: string[] = [];
      const bound = (value: string, type: string) => `$${bind.push(value)}::${type}`;
      // One statement has one snapshot: its first half tells the one that its second half reads by.
      const rows = await query<Row>(
        `SELECT NULL::uuid AS "sessionId", NULL::timestamptz AS "expiresAt", NULL AS tx,
           pg_current_snapshot()::text AS snapshot, ${history === null ? HISTORY : bound(history, "text")} AS history,
           now() AS "readAt"
         UNION ALL SELECT session_id, expires_at, tx::text, NULL, NULL, NULL FROM revocations
         WHERE expires_at > now() ${snapshot === null ? "" : unseenAt(bound(snapshot, "pg_snapshot"))}`,
        ...bind,
      );
      const position = rows.find(({ sessionId }) => sessionId === null);
      if (!position) throw new Error("a query without a condition gave no row");
      const revocations = rows.flatMap(({ sessionId, expiresAt, tx }) =>
        sessionId === null ? [] : [{ sessionId, expiresAt, tx: BigInt(tx) }],
      );
      const { history: found, snapshot: seen, readAt } = position;
      return { position: { history: found, snapshot: seen }, revocations, readAt };
    },

    /** Renews the rows of a dump from another cluster, whose transactions lie in this one's future. */
    async adopt(): Promise<void> {
      await query("UPDATE revocations SET tx = DEFAULT WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())");
    },
  };
}

// The first condition can use the index.
function unseenAt(snapshot: string): string {
  return `AND tx >= pg_snapshot_xmin(${snapshot}) AND NOT pg_visible_in_snapshot(tx, ${snapshot})`;
}

// PostgreSQL appendix A: insufficient privilege, feature not supported, undefined function.
const REFUSED = ["42501", "0A000", "42883"];

function absentIfRefused(error: unknown): [] {
  const { code } = error instanceof DatabaseError ? (error.original as { code?: string }) : {};
  if (code === undefined || !REFUSED.includes(code)) throw error;
  return [];
}
