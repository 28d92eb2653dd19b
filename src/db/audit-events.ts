import type { AuditEventType, Trace } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";

/** An entry of the audit log; "" where there is nothing to say. */
export interface AuditEvent extends Trace {
  readonly id: number;
  readonly createdAt: Date;
  /** One of AUDIT_EVENT_TYPES, or of a later version's. */
  readonly type: string;
  readonly reason: string;
  readonly userId: number | null;
  readonly sessionId: string;
  readonly deviceName: string;
  readonly detail: string;
  readonly count: number;
}

/** An event that is written after it happened. */
export interface LateEvent extends Trace {
  readonly type: AuditEventType;
  readonly reason: string | null;
  readonly userId: number | null;
  readonly sessionId: string | null;
  readonly deviceName: string | null;
  readonly detail: string | null;
  readonly count: number;
  readonly ageMs: number;
}

/** Which events are asked for; null: all. */
export interface EventFilter {
  readonly userId: number | null;
  readonly type: AuditEventType | null;
  readonly since: Date | null;
  readonly until: Date | null;
}

/** How far somebody who follows the log has been told of it. */
export interface FollowPosition {
  /** All that was visible at this `pg_snapshot` has been told. */
  readonly seen: string;
  /** In the middle of what became visible between that one and another: the last that was told. */
  readonly told: { readonly upTo: string; readonly tx: string; readonly id: string } | null;
}

/** Events, and the `pg_snapshot` by which they were read. */
export interface EventPage {
  readonly events: (AuditEvent & { readonly tx: string })[];
  readonly snapshot: string;
}

const FILTER = `($1::bigint IS NULL OR e.user_id = $1) AND ($2::text IS NULL OR e.type = $2)
  AND ($3::timestamptz IS NULL OR e.created_at >= $3) AND ($4::timestamptz IS NULL OR e.created_at < $4)`;

const COLUMNS = `e.id, e.tx::text AS tx, e.created_at AS "createdAt", e.type, coalesce(e.reason, '') AS reason,
  e.user_id AS "userId", e.actor, coalesce(e.session_id::text, '') AS "sessionId", coalesce(host(e.address), '') AS address,
  coalesce(e.device_name, '') AS "deviceName", coalesce(e.detail, '') AS detail, e.count`;

type Row = Omit<AuditEvent, "id" | "userId"> & { id: string | null; userId: string | null; tx: string };

/** Statements on `audit_events`; most rows are written by the statements of what they tell of. */
export function createAuditEventStore({ query, write }: Scope) {
  const read = async (
    where: string,
    order: string,
    { userId, type, since, until }: EventFilter,
    limit: number,
    ...bind: unknown[]
  ): Promise<EventPage> => {
    // One statement has one snapshot: it tells the one by which it reads, also when it finds nothing.
    const rows = await query<Row & { snapshot: string }>(
      `SELECT pg_current_snapshot()::text AS snapshot, ${COLUMNS} FROM (SELECT) one LEFT JOIN LATERAL (
         SELECT * FROM audit_events e WHERE ${FILTER} AND ${where} ORDER BY ${order} LIMIT $5) e ON true ORDER BY ${order}`,
      ...[userId, type, since && write(since), until && write(until), limit, ...bind],
    );
    const events = rows.flatMap(({ snapshot: _, ...row }) => (row.id === null ? [] : [toEvent(row, row.id)]));
    return { events, snapshot: rows[0]?.snapshot ?? "" };
  };

  return {
    /** Writes events that are over, in one statement. */
    async insert(events: readonly LateEvent[]): Promise<void> {
      await query(
        `INSERT INTO audit_events (created_at, type, reason, user_id, actor, session_id, address, device_name, detail, count)
         SELECT now() - "ageMs" * interval '1 ms', type, reason, "userId", actor, "sessionId", nullif(address, '')::inet,
           "deviceName", detail, count
         FROM json_to_recordset($1::json) AS e ("ageMs" float8, type text, reason text, "userId" bigint, actor text,
           "sessionId" uuid, address text, "deviceName" text, detail text, count integer)`,
        JSON.stringify(events),
      );
    },

    /** The newest whose id is below `before`, newest first. */
    before: (filter: EventFilter, before: number | null, limit: number) =>
      read("($6::bigint IS NULL OR e.id < $6)", "e.id DESC", filter, limit, before),

    /**
     * What has become visible since a position, in the order of transactions. Of a dump from another cluster nothing is
     * told whose transactions lie in this one's future.
     */
    since: (filter: EventFilter, { seen, told }: FollowPosition, limit: number) =>
      read(
        `e.tx >= pg_snapshot_xmin($6::pg_snapshot) AND NOT pg_visible_in_snapshot(e.tx, $6::pg_snapshot)
           AND pg_visible_in_snapshot(e.tx, coalesce($7::pg_snapshot, pg_current_snapshot()))
           AND ($8::xid8 IS NULL OR (e.tx, e.id) > ($8::xid8, $9::bigint))`,
        "e.tx, e.id",
        filter,
        limit,
        ...[seen, told?.upTo ?? null, told?.tx ?? null, told?.id ?? null],
      ),
  };
}

function toEvent({ userId, ...row }: Row, id: string): EventPage["events"][number] {
  return { ...row, id: Number(id), userId: userId === null ? null : Number(userId) };
}
