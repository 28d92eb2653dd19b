import type { Session } from "./history-model.ts";
import type { TestDatabase } from "./postgres.ts";

/** What the database holds of a history's people. */
export interface Stored {
  readonly sessions: Readonly<Record<string, Session>>;
  /** When a session ends at the latest, and when its revocation is forgotten, in milliseconds since 1970. */
  readonly ends: Readonly<Record<string, number>>;
  readonly revocations: Readonly<Record<string, number>>;
  /** By user: whether the account is not blocked, and the ids of the reset tokens that are still good. */
  readonly accounts: readonly { readonly active: boolean; readonly resets: readonly string[] }[];
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
  readonly revokedUntil: Date | null;
}

/** Reads it in one go; `minuteOf` says which minute of the history a time of the service is in, `offset` is the clock's. */
export async function readStored(
  database: TestDatabase,
  userIds: readonly bigint[],
  { minuteOf, offset }: { readonly minuteOf: (ms: number) => number; readonly offset: number },
): Promise<Stored> {
  const [rows, accounts] = await Promise.all([
    database.query<SessionRow>(
      `SELECT s.id, s.user_id AS "userId", s.rotates, s.refresh_counter::int AS counter, s.refreshed_at AS "refreshedAt",
         s.idle_expires_at AS "idleEnd", s.expires_at AS "expiresAt", s.access_expires_at AS "accessEnd",
         s.ended_at AS "endedAt", r.expires_at AS "revokedUntil"
       FROM sessions s LEFT JOIN revocations r ON r.session_id = s.id WHERE s.user_id = ANY ($1::bigint[])`,
      userIds,
    ),
    database.query<{ active: boolean; resets: string[] }>(
      `SELECT u.is_active OR coalesce(u.blocked_until <= now(), false) AS active, ARRAY (
         SELECT t.id::text FROM secret_tokens t WHERE t.user_id = u.id AND t.purpose = 'reset_password'
           AND t.used_at IS NULL AND t.superseded_at IS NULL AND t.expires_at > now()) AS resets
       FROM users u WHERE u.id = ANY ($1::bigint[]) ORDER BY array_position($1::bigint[], u.id)`,
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
    revocations: Object.fromEntries(
      rows.flatMap(({ id, revokedUntil }) => (revokedUntil ? [[id, revokedUntil.getTime() + offset]] : [])),
    ),
    accounts,
  };
}
