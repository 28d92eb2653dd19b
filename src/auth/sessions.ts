import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { Revocation } from "../db/session-endings.ts";
import type { Session } from "../db/sessions.ts";
import type { User } from "../db/users.ts";
import type { AccessClaims } from "../token/strict-jwt.ts";
import type { AccessTokens } from "./access-token.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { requireFields } from "./fields.ts";
import { parseUuid } from "./identifiers.ts";
import type { Revocations } from "./revocations.ts";
import type { SealedTokens } from "./sealed-token.ts";
import type { IssuedTokens, IssueTokens } from "./tokens.ts";

/** The holder of a valid access token. */
export interface Caller {
  readonly userId: number;
  readonly sessionId: string;
}

/** Which sessions a sign-out ends: the token's, the user's others, or all of the user's. */
export type SignOutScope = "SESSION" | "OTHERS" | "ALL";

/** Keeps sessions alive, tells them, and ends them. */
export function createSessions(
  config: Config,
  db: Database,
  accessTokens: AccessTokens,
  sealedTokens: SealedTokens,
  issueTokens: IssueTokens,
  revocations: Revocations,
) {
  const introspect = async (accessToken: string): Promise<AccessClaims | null> => {
    const claims = await accessTokens.verify(accessToken);
    return claims && !revocations.has(claims.sid) ? claims : null;
  };

  const endScope = (sessionId: string, scope: SignOutScope, context: CallContext): Promise<Revocation[]> => {
    if (scope === "SESSION") return db.statement(({ sessions }) => sessions.end(sessionId, "signed_out", context));
    return db.transaction(async ({ users, sessions }) => {
      const userId = await users.lockBySession(sessionId);
      if (userId === null) return [];
      return scope === "ALL"
        ? sessions.endAll(userId, "signed_out", context)
        : sessions.endOthers(userId, sessionId, "signed_out", context);
    });
  };

  return {
    /** What an access token says; null for a bad one, and for one whose session was ended. */
    introspect,

    /** Who an access token speaks for; null for a bad one. */
    async authenticate(accessToken: string): Promise<Caller | null> {
      const claims = await introspect(accessToken);
      return claims && { userId: Number(claims.sub), sessionId: claims.sid };
    },

    async refresh(refreshToken: string, context: CallContext): Promise<IssuedTokens> {
      const content = sealedTokens.openRefresh(refreshToken);
      if (!content) throw new AuthError("INVALID_TOKEN");
      const { sessionId, counter } = content;
      context.concerns({ sessionId });
      const grant = await db.statement(({ sessions }) => sessions.refresh(sessionId, counter, config));
      if (grant) return issueTokens(grant);
      const verdict = await db.transaction(({ sessions }) => sessions.judge(content, config, context));
      if (verdict && "granted" in verdict) return issueTokens(verdict.granted);
      if (verdict?.reused) revocations.add([verdict.reused]);
      throw new AuthError("INVALID_TOKEN", { isRecorded: Boolean(verdict?.reused) });
    },

    /** Ends sessions by a refresh token, spent or not, or else for the caller; false when there was nothing to end. */
    async signOut(
      refreshToken: string,
      caller: Caller | null,
      scope: SignOutScope,
      context: CallContext,
    ): Promise<boolean> {
      const sessionId = refreshToken === "" ? caller?.sessionId : sealedTokens.openRefresh(refreshToken)?.sessionId;
      if (sessionId === undefined) return false;
      const ended = await endScope(sessionId, scope, context);
      revocations.add(ended);
      return ended.length > 0;
    },

    async getMe({ userId, sessionId }: Caller): Promise<{ user: User; session: Session }> {
      const found = await db.statement(({ sessions }) => sessions.findWithUser(userId, sessionId));
      if (!found) throw new AuthError("INVALID_TOKEN");
      return found;
    },

    list: ({ userId }: Caller): Promise<Session[]> => db.statement(({ sessions }) => sessions.list(userId)),

    async revoke({ userId }: Caller, sessionId: string, context: CallContext): Promise<void> {
      const { session_id: id } = requireFields({ session_id: () => parseUuid(sessionId) });
      const ended = await db.statement(({ sessions }) => sessions.endOwn(userId, id, "revoked", context));
      if (ended.length === 0) throw new AuthError("SESSION_NOT_FOUND");
      revocations.add(ended);
    },
  };
}
