import { randomUUID } from "node:crypto";
import jwt from "jsonwebtoken";
import { type Clock, now } from "../clock.ts";
import type { Grant } from "../db/sessions.ts";
import { type AccessClaims, verifyAccessToken } from "../token/strict-jwt.ts";
import type { SigningKeys } from "./signing-keys.ts";

/** A signed access token; `expiresIn` in seconds. */
export interface AccessToken {
  readonly token: string;
  readonly expiresIn: number;
  readonly expiresAt: Date;
}

/** Whom access tokens are from and for. */
export interface Parties {
  readonly issuer: string;
  readonly audience: string;
}

/** Seconds that the database's clock, which dates tokens, may be ahead of this process's. */
export const LEEWAY = 5;

/** Mints and checks access tokens. */
export function createAccessTokens(keys: SigningKeys, { issuer, audience }: Parties, clock: Clock) {
  return {
    mint({ userId, sessionId, username, roles, issuedAt, accessExpiresAt }: Grant): AccessToken {
      const iat = Math.floor(issuedAt.getTime() / 1000);
      const exp = Math.floor(accessExpiresAt.getTime() / 1000);
      const claims: AccessClaims = {
        iss: issuer,
        aud: audience,
        sub: String(userId),
        sid: sessionId,
        jti: randomUUID(),
        iat,
        exp,
        username,
        roles,
      };
      const { alg, kid, privateKey } = keys.current();
      const token = jwt.sign(claims, privateKey, { algorithm: alg, keyid: kid, header: { alg, typ: "at+jwt" } });
      return { token, expiresIn: exp - iat, expiresAt: new Date(exp * 1000) };
    },

    /** The claims of a token that is ours and in time; whether its session was ended is not looked at. */
    async verify(token: string): Promise<AccessClaims | null> {
      let isKeyUnknown = false;
      const findKey = (kid: string) => {
        const key = keys.find(kid);
        isKeyUnknown = key === undefined;
        return key;
      };
      const check = () => verifyAccessToken(token, { findKey, issuer, audience, now: now(clock), leeway: LEEWAY });
      const claims = check();
      if (claims || !isKeyUnknown) return claims;
      await keys.reread();
      return check();
    },
  };
}

/** See createAccessTokens. */
export type AccessTokens = ReturnType<typeof createAccessTokens>;
