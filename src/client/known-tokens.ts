import type { AccessClaims } from "../token/strict-jwt.ts";

/** Tokens whose signature was found good, until they expire: a bounded number, of which the oldest go first. */
export function createKnownTokens(limit: number) {
  const known = new Map<string, AccessClaims>();
  return {
    find(token: string): AccessClaims | undefined {
      const claims = known.get(token);
      if (!claims || claims.exp > Date.now() / 1000) return claims;
      known.delete(token);
      return undefined;
    },

    /** Gives the claims back. */
    remember(token: string, claims: AccessClaims | null): AccessClaims | null {
      if (!claims || limit === 0) return claims;
      if (known.size >= limit) known.delete(known.keys().next().value ?? "");
      known.set(token, claims);
      return claims;
    },

    forget: (token: string) => void known.delete(token),
  };
}
