import type { Session } from "./history-model.ts";
import type { TestDatabase } from "./postgres.ts";

/** What the database holds of a history's people. */
export interface Stored {
  readonly sessions: Readonly<Record<string, Session>>;
  /** When a session ends at the latest, and when its revocation is forgotten, in milliseconds since 1970. */
  readonly ends: Readonly<Record<string, number>>;
  readonly revocations: Readonly<Record<string, number>>;
  /** By user: whether the account is gone, whether it can be used, and the ids of the reset tokens that are still good. */
  readonly accounts: readonly StoredAccount[];
}

interface StoredAccount {
  readonly deleted: boolean;
  readonly active: boolean;
  readonly resets: readonly string[];
}

interface SessionRow {
  readonly id: string;
  readonly userId: string;
  readonly rotates: boolean;
  readonly counter: number;
  readonly refreshedAt: Date;
  readonly idleEnd: Date;
  readonly expiresAt: Date;
  readonly accessEnd: Date;
  readonly endedAt: Date | null;
}

/** Reads it in one go; `minuteOf` says which minute of the history a time of the service is in, `offset` is the clock's. */
export async function readStored(
  database: TestDatabase,
  userIds: readonly bigint[],
  { minuteOf, offset }: { readonly minuteOf: (ms: number) => number; readonly offset: number },
): Promise<Stored> {
  const [rows, revocations, accounts] = await Promise.all([
    database.query<SessionRow>(
      `SELECT s.id, s.user_id AS "userId", s.rotates, s.refresh_counter::int AS counter, s.refreshed_at AS "refreshedAt",
         s.idle_expires_at AS "idleEnd", s.expires_at AS "expiresAt", s.access_expires_at AS "accessEnd",
         s.ended_at AS "endedAt"
       FROM sessions s WHERE s.user_id = ANY ($1::bigint[])`,
      userIds,
    ),
    database.query<{ id: string; end: Date }>(`SELECT session_id AS id, expires_at AS "end" FROM revocations`),
    database.query<StoredAccount>(
      `SELECT u.id IS NULL AS deleted, coalesce(u.is_active OR u.blocked_until <= now(), false) AS active, ARRAY (
         SELECT t.id::text FROM secret_tokens t WHERE t.user_id = u.id AND t.purpose = 'reset_password'
           AND t.used_at IS NULL AND t.superseded_at IS NULL AND t.expires_at > now()) AS resets
       FROM unnest($1::bigint[]) WITH ORDINALITY known (id, position) LEFT JOIN users u USING (id) ORDER BY position`,
      userIds,
    ),
  ]);
  const minute = (time: Date) => minuteOf(time.getTime() + offset);
  const toSession = ({ userId, rotates, counter, ...row }: SessionRow): Session => ({
    ...{ user: userIds.indexOf(BigInt(userId)), rotates, counter },
    ...{ refreshedAt: minute(row.refreshedAt), idleEnd: minute(row.idleEnd) },
    ...{ expiresAt: minute(row.expiresAt), accessEnd: minute(row.accessEnd) },
    endedAt: row.endedAt && minute(row.endedAt),
  });
  return {
    sessions: Object.fromEntries(rows.map((row) => [row.id, toSession(row)])),
    ends: Object.fromEntries(rows.map(({ id, expiresAt }) => [id, expiresAt.getTime() + offset])),
    revocations: Object.fromEntries(revocations.map(({ id, end }) => [id, end.getTime() + offset])),
    accounts,
  };
}
