import type { Trace } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";
import { createSessionEndings, type Revocation } from "./session-endings.ts";
import type { Counted } from "./throttle.ts";
import { ACTIVE, toUser, USER_COLUMNS, type User, type UserColumns } from "./users.ts";

/** How long the tokens of a session live, in milliseconds. */
export interface Lifetimes {
  readonly accessTokenTtl: number;
  readonly refreshTokenTtl: number;
  readonly sessionMaxAge: number;
}

/** A session as its user sees it. */
export interface Session {
  readonly id: string;
  readonly deviceName: string;
  readonly address: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly expiresAt: Date;
}

/** What the tokens of a session are made from: all of it from the statement that allowed them. */
export interface Grant {
  readonly sessionId: string;
  readonly userId: number;
  readonly username: string;
  readonly roles: readonly string[];
  readonly refreshCounter: bigint;
  readonly issuedAt: Date;
  readonly accessExpiresAt: Date;
  readonly refreshExpiresAt: Date;
}

/** Live sessions an account may have; a sign-in beyond them ends the oldest. */
const MAX_LIVE_SESSIONS = 100;

const MS = "interval '1 ms'";

/** SQL that is true while the session of `s` has neither ended nor expired. */
export const LIVE = "s.ended_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()";

const SESSION_COLUMNS = `s.id AS "sessionId", s.device_name AS "deviceName", host(s.address) AS address, s.created_at AS "sessionCreatedAt",
  s.refreshed_at AS "refreshedAt", least(s.idle_expires_at, s.expires_at) AS "sessionExpiresAt"`;

interface SessionColumns {
  readonly sessionId: string;
  readonly deviceName: string;
  readonly address: string | null;
  readonly sessionCreatedAt: Date;
  readonly refreshedAt: Date;
  readonly sessionExpiresAt: Date;
}

function toSession(row: SessionColumns): Session {
  return {
    id: row.sessionId,
    deviceName: row.deviceName,
    address: row.address ?? "",
    createdAt: row.sessionCreatedAt,
    lastUsedAt: row.refreshedAt,
    expiresAt: row.sessionExpiresAt,
  };
}

// Of a statement whose $2 is the access token's lifetime; an access token never outlives its session.
const ACCESS_END = `least(now() + $2 * ${MS}, s.expires_at)`;
const GRANT_COLUMNS = `s.id AS "sessionId", u.id AS "userId", u.username, u.roles, s.refresh_counter AS "refreshCounter",
  now() AS "issuedAt", ${ACCESS_END} AS "accessExpiresAt", s.idle_expires_at AS "refreshExpiresAt"`;

type GrantColumns = Omit<Grant, "userId" | "refreshCounter"> & { userId: string; refreshCounter: string };
const toGrant = (row: GrantColumns): Grant => ({
  sessionId: row.sessionId,
  userId: Number(row.userId),
  username: row.username,
  roles: row.roles,
  refreshCounter: BigInt(row.refreshCounter),
  issuedAt: row.issuedAt,
  accessExpiresAt: row.accessExpiresAt,
  refreshExpiresAt: row.refreshExpiresAt,
});

type OpenedColumns = UserColumns &
  Omit<GrantColumns, "userId"> & { ended: readonly { readonly sessionId: string; readonly expiresAt: string }[] };

// How many `open_session` has.
const OUT_PARAMETERS = 15;

/** The sign-in whose password has been checked. */
export interface Opening {
  readonly userId: number;
  /** The hash that was compared: another one by now means another password. */
  readonly passwordHash: string;
  /** A hash of the same password to keep in its place, or null. */
  readonly renewedHash: string | null;
  readonly confirmationRequired: boolean;
  readonly rotates: boolean;
  readonly deviceName: string;
  /** Given back with the session that begins. */
  readonly counted: Counted;
}

/** What became of a refresh token that was not the current one. */
export type Verdict = { readonly granted: Grant } | { readonly reused: Revocation | null } | null;

/** Statements on `sessions`, and on `revocations` where a session ends. */
export function createSessionStore(scope: Scope) {
  const { query, read } = scope;
  const endings = createSessionEndings(scope);

  return {
    ...endings,

    /** Begins a session if the account may sign in with this password at this moment; ends the oldest beyond the limit. */
    async open(
      opening: Opening,
      lifetimes: Lifetimes,
      trace: Trace,
    ): Promise<{ user: User; grant: Grant; ended: Revocation[] } | null> {
      const { userId, passwordHash, renewedHash, confirmationRequired, rotates, deviceName, counted } = opening;
      const { accessTokenTtl, refreshTokenTtl, sessionMaxAge } = lifetimes;
      const maxAge = rotates ? sessionMaxAge : Math.min(refreshTokenTtl, sessionMaxAge);
      // Something has to stand in the place of each OUT parameter; all are null where no session began.
      const [row] = await query<OpenedColumns>(
        `CALL open_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14${", NULL".repeat(OUT_PARAMETERS)})`,
        ...[userId, passwordHash, renewedHash, confirmationRequired, rotates, deviceName, trace.address || null],
        ...[refreshTokenTtl, maxAge, accessTokenTtl, MAX_LIVE_SESSIONS, counted.keys, counted.at, trace.actor],
      );
      if (!row?.sessionId) return null;
      const ended = row.ended.map(({ sessionId, expiresAt }) => read({ sessionId, expiresAt: new Date(expiresAt) }));
      return { user: toUser(row), grant: toGrant({ ...row, userId: row.id }), ended };
    },

    /** Spends a genuine refresh token whose counter is the current one or newer; any, where tokens do not rotate. */
    async refresh(
      sessionId: string,
      counter: bigint,
      { accessTokenTtl, refreshTokenTtl }: Lifetimes,
    ): Promise<Grant | null> {
      // Something has to stand in the place of each OUT parameter; all are null where nothing was refreshed.
      const [row] = await query<GrantColumns>(
        "CALL refresh_session($1, $2, $3, $4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        ...[sessionId, counter, accessTokenTtl, refreshTokenTtl],
      );
      return row?.sessionId ? toGrant(row) : null;
    },

    /** Judges a genuine refresh token that has been spent: the same successor within the grace, else the session's end. */
    async judge(
      { sessionId, counter }: { readonly sessionId: string; readonly counter: bigint },
      { accessTokenTtl, refreshGrace }: Lifetimes & { readonly refreshGrace: number },
      trace: Trace,
    ): Promise<Verdict> {
      const [found] = await query<{ counter: string; inGrace: boolean; live: boolean }>(
        `SELECT s.refresh_counter AS counter, now() - s.refreshed_at < $2 * ${MS} AS "inGrace", ${LIVE} AND ${ACTIVE} AS live
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1 FOR UPDATE OF s`,
        sessionId,
        refreshGrace,
      );
      if (!found?.live || counter >= BigInt(found.counter)) return null;
      if (counter !== BigInt(found.counter) - 1n || !found.inGrace)
        return { reused: (await endings.end(sessionId, "reused", trace))[0] ?? null };
      const [row] = await query<GrantColumns>(
        `UPDATE sessions s SET access_expires_at = greatest(s.access_expires_at, ${ACCESS_END})
         FROM users u WHERE s.id = $1 AND u.id = s.user_id RETURNING ${GRANT_COLUMNS}`,
        sessionId,
        accessTokenTtl,
      );
      return row ? { granted: toGrant(row) } : null;
    },

    /** The account and session of an access token, if both may still be used. */
    async findWithUser(userId: number, sessionId: string): Promise<{ user: User; session: Session } | null> {
      const [row] = await query<UserColumns & SessionColumns>(
        `SELECT ${USER_COLUMNS}, ${SESSION_COLUMNS} FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.id = $1 AND u.id = $2 AND s.ended_at IS NULL AND s.expires_at > now() AND ${ACTIVE}`,
        sessionId,
        userId,
      );
      return row ? { user: toUser(row), session: toSession(row) } : null;
    },

    async list(userId: number): Promise<Session[]> {
      const rows = await query<SessionColumns>(
        `SELECT ${SESSION_COLUMNS} FROM sessions s WHERE s.user_id = $1 AND ${LIVE} ORDER BY s.created_at DESC, s.id LIMIT ${MAX_LIVE_SESSIONS}`,
        userId,
      );
      return rows.map(toSession);
    },
  };
}
