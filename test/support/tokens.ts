import type { Tokens } from "../../gen/auth/v1/session_pb.ts";
import type { AccessClaims } from "../../src/token/strict-jwt.ts";
import type { TestDatabase } from "./postgres.ts";
import type { TestService } from "./service.ts";

/** Spends a refresh token; gives the new pair. */
export async function refresh({ auth }: Pick<TestService, "auth">, refreshToken: string): Promise<Tokens> {
  const { tokens } = await auth.refreshToken({ refreshToken });
  if (!tokens) throw new Error("a refresh gave no tokens");
  return tokens;
}

/** What an access token says, unchecked. */
export function claimsOf({ accessToken }: { readonly accessToken: string }): AccessClaims {
  return JSON.parse(Buffer.from(accessToken.split(".")[1] ?? "", "base64url").toString());
}

/** A session as it is stored; times in milliseconds since 1970 by the database's clock. */
export interface StoredSession {
  readonly counter: number;
  readonly rotates: boolean;
  readonly refreshed: number;
  readonly idleEnd: number;
  readonly end: number;
  readonly accessEnd: number;
  readonly endReason: string | null;
  readonly ended: boolean;
}

/** Reads the row of an access token's session. */
export async function storedSession(
  { database }: { readonly database: TestDatabase },
  tokens: { readonly accessToken: string },
): Promise<StoredSession> {
  const ms = (column: string) => `(extract(epoch FROM ${column}) * 1000)::float8`;
  const [row] = await database.query<StoredSession>(
    `SELECT refresh_counter::int AS counter, rotates, ${ms("refreshed_at")} AS refreshed, ${ms("idle_expires_at")} AS "idleEnd",
       ${ms("expires_at")} AS "end", ${ms("access_expires_at")} AS "accessEnd", end_reason AS "endReason", ended_at IS NOT NULL AS ended
     FROM sessions WHERE id = $1`,
    claimsOf(tokens).sid,
  );
  if (!row) throw new Error("there is no such session");
  return row;
}

/** How many sessions of an account have not been ended. */
export async function countLive({ database }: { readonly database: TestDatabase }, userId: bigint): Promise<number> {
  const [row] = await database.query<{ live: number }>(
    "SELECT count(*)::int AS live FROM sessions WHERE user_id = $1 AND ended_at IS NULL",
    userId,
  );
  return row?.live ?? 0;
}
