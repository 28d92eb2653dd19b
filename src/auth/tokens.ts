import type { Grant } from "../db/sessions.ts";
import type { AccessTokens } from "./access-token.ts";
import type { SealedTokens } from "./sealed-token.ts";

/** What a sign-in or a refresh hands out; `expiresIn` in seconds. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresIn: number;
  readonly accessExpiresAt: Date;
  readonly refreshExpiresAt: Date;
}

/** Makes both tokens of what a statement granted. */
export type IssueTokens = (grant: Grant) => IssuedTokens;

/** Joins the two kinds of token. */
export function createIssueTokens(accessTokens: AccessTokens, sealedTokens: SealedTokens): IssueTokens {
  return (grant) => {
    const access = accessTokens.mint(grant);
    return {
      accessToken: access.token,
      refreshToken: sealedTokens.sealRefresh({ sessionId: grant.sessionId, counter: grant.refreshCounter }),
      expiresIn: access.expiresIn,
      accessExpiresAt: access.expiresAt,
      refreshExpiresAt: grant.refreshExpiresAt,
    };
  };
}
