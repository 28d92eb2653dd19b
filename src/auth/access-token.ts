import { randomUUID } from "node:crypto";
import jwt from "jsonwebtoken";
import { type Clock, now } from "../clock.ts";
import type { Grant } from "../db/sessions.ts";
import type { AccessClaims } from "../token/strict-jwt.ts";
import { createTokenChecker } from "../token/token-checker.ts";
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

/** Seconds that a token may seem to be from the future: its time is the database's, which may be another one by now. */
const LEEWAY = 5;
/** Tokens of which the signature is not checked again; about 1 KB each. */
const REMEMBERED = 50_000;

/** Mints and checks access tokens. */
export function createAccessTokens(keys: SigningKeys, { issuer, audience }: Parties, clock: Clock) {
  const checker = createTokenChecker({
    ...{ keys, issuer, audience, leeway: LEEWAY, remembered: REMEMBERED },
    now: () => now(clock),
  });
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
    verify: checker.check,
  };
}

/** See createAccessTokens. */
export type AccessTokens = ReturnType<typeof createAccessTokens>;
