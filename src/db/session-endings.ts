import { type AuditEventType, recordEvents, type Trace, traceValues } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";

/** A session that has ended: its access tokens are refused until the last of them expires. */
export interface Revocation {
  readonly sessionId: string;
  readonly expiresAt: Date;
}

/** Why a session is ended; `open_session` ends what is beyond the most, as `surplus`. */
export type EndReason =
  | "signed_out"
  | "revoked"
  | "revoked_by_admin"
  | "blocked"
  | "deleted"
  | "role_removed"
  | "password_reset"
  | "password_changed"
  | "password_cleared"
  | "reused";

// Of what a CTE `ended` has ended. A verifier's clock may be behind by 30 s: it still has to know then.
const REVOKE = `INSERT INTO revocations (session_id, expires_at) SELECT id, access_expires_at + interval '30 s' FROM ended
  ON CONFLICT (session_id) DO NOTHING`;

/** What an event says of the session that it tells of. */
const SESSION_EVENT = { user_id: "user_id", session_id: "id", device_name: "device_name" };

/** What the audit log says of sessions that ended; of other reasons, what had them ended is an event by itself. */
const EVENTS: Readonly<Partial<Record<EndReason, AuditEventType>>> = {
  signed_out: "sign_out",
  revoked: "session_revoked",
  revoked_by_admin: "sessions_revoked",
  reused: "refresh_token_reused",
};

// What whoever presented the token is told.
const REUSE_EVENT = { ...SESSION_EVENT, reason: "'INVALID_TOKEN'" };

/** Statements that end sessions; each writes their revocations and what the audit log says of them. */
export function createSessionEndings({ query }: Scope) {
  const end = (reason: EndReason, trace: Trace, where: string, ...bind: unknown[]): Promise<Revocation[]> => {
    const type = EVENTS[reason];
    const first = bind.length + 2;
    const events =
      type === "sessions_revoked"
        ? recordEvents(type, "ended GROUP BY user_id", { user_id: "user_id", count: "count(*)" }, first)
        : type && recordEvents(type, "ended", reason === "reused" ? REUSE_EVENT : SESSION_EVENT, first);
    return query<Revocation>(
      `WITH ended AS (
         UPDATE sessions s SET ended_at = now(), end_reason = $1 WHERE s.ended_at IS NULL AND s.expires_at > now() AND ${where}
         RETURNING s.id, s.user_id, s.device_name, s.access_expires_at)
       ${events ? `, event AS (${events})` : ""}
       ${REVOKE} RETURNING session_id AS "sessionId", expires_at AS "expiresAt"`,
      reason,
      ...bind,
      ...(events ? traceValues(trace) : []),
    );
  };

  return {
    end: (sessionId: string, reason: EndReason, trace: Trace) => end(reason, trace, "s.id = $2", sessionId),

    endOwn: (userId: number, sessionId: string, reason: EndReason, trace: Trace) =>
      end(reason, trace, "s.id = $2 AND s.user_id = $3", sessionId, userId),

    /** Ends every session of an account. The transaction must have changed or locked its row before, in another statement. */
    endAll: (userId: number, reason: EndReason, trace: Trace) => end(reason, trace, "s.user_id = $2", userId),

    /** The same but for one session, if that one has not been ended meanwhile: it may be among the others of another. */
    endOthers: (userId: number, sessionId: string, reason: EndReason, trace: Trace) =>
      end(
        reason,
        trace,
        "s.user_id = $2 AND s.id <> $3 AND EXISTS (SELECT 1 FROM sessions o WHERE o.id = $3 AND o.ended_at IS NULL)",
        userId,
        sessionId,
      ),
  };
}
