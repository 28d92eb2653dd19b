import { expect } from "chai";
import type { Tokens } from "../../gen/auth/v1/session_pb.ts";
import type { Answer } from "./history-model.ts";
import { claimsOf } from "./tokens.ts";

/** An access token with the end that it tells: in minutes of the history, and in milliseconds since 1970. */
export interface HeldAccessToken {
  readonly token: string;
  readonly minute: number;
  readonly expiresAt: number;
}

/** Every token that a session's holder ever got; a refresh token's index is its counter. */
export interface Holding {
  readonly id: string;
  readonly user: number;
  readonly refreshTokens: string[];
  readonly accessTokens: HeldAccessToken[];
}

/** What the people of a history have in their hands. */
export interface Holders {
  readonly holdings: Holding[];
  /** The `back`-th newest session that a user ever had; indices beyond the oldest start again at the newest. */
  find(user: number, back: number): Holding | undefined;
  /** Keeps the tokens of an answer, and tells what the model knows of them. */
  keep(tokens: Tokens | undefined): Answer;
}

const TOKEN_BYTES = 57;

/** Starts with empty hands; `users` are the ids of the people. */
export function createHolders(users: readonly bigint[], minuteOf: (ms: number) => number): Holders {
  const holdings: Holding[] = [];

  const holdingOf = (id: string, user: number): Holding => {
    const known = holdings.find((holding) => holding.id === id);
    if (known) return known;
    holdings.push({ id, user, refreshTokens: [], accessTokens: [] });
    return holdingOf(id, user);
  };

  return {
    holdings,
    find(user, back) {
      const own = holdings.filter((holding) => holding.user === user);
      return pick(own, back);
    },
    keep(tokens) {
      if (!tokens) throw new Error("an answer has no tokens");
      const { sub, sid, exp } = claimsOf(tokens);
      const { session, counter } = readRefreshToken(tokens.refreshToken);
      expect(sid, "both tokens are of one session").to.equal(session);
      const user = users.indexOf(BigInt(sub));
      const { refreshTokens, accessTokens } = holdingOf(session, user);
      const accessEnd = minuteOf(exp * 1000);
      refreshTokens[counter] ??= tokens.refreshToken;
      expect(tokens.refreshToken, "one counter has one token").to.equal(refreshTokens[counter]);
      accessTokens.push({ token: tokens.accessToken, minute: accessEnd, expiresAt: exp * 1000 });
      return { user, session, counter, accessEnd };
    },
  };
}

/** Counts back from the newest, and on from there. */
export function pick<Item>(items: readonly Item[], back: number): Item | undefined {
  return items.at(-1 - (back % Math.max(1, items.length)));
}

// The form that tokens.md gives a refresh token: version, session id, counter, HMAC.
function readRefreshToken(token: string): { session: string; counter: number } {
  const bytes = Buffer.from(token, "base64url");
  expect(bytes).to.have.length(TOKEN_BYTES);
  const session = bytes.toString("hex", 1, 17).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  return { session, counter: Number(bytes.readBigInt64BE(17)) };
}
