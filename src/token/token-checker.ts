import { createKnownTokens } from "./known-tokens.ts";
import { type AccessClaims, type Expectation, findMisdirected, verifyAccessToken } from "./strict-jwt.ts";

/** The keys that tokens may be signed with. */
export interface TokenKeys {
  /** The key of a `kid` that is accepted now. */
  readonly find: Expectation["findKey"];
  /** Gets the keys anew: a token named one that is not among them. Throws when it cannot be known which there are. */
  reread(): Promise<void>;
}

/** Which tokens are good, and how many of them are remembered. */
export interface TokenCheckerOptions extends Pick<Expectation, "issuer" | "audience" | "leeway"> {
  readonly keys: TokenKeys;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly remembered: number;
  /** Told, once a minute at most, of a token that is signed with one of the keys but from or for others. */
  readonly onMisdirected?: (claims: AccessClaims) => void;
}

const TOLD_MS = 60_000;
/** What strangers send costs no more than a signature in so many milliseconds. */
const LOOK_MS = 100;

/** Checks access tokens, a signature once only; whether a token's session was ended is for the caller to ask. */
export function createTokenChecker({ keys, now, remembered, onMisdirected, ...expected }: TokenCheckerOptions) {
  const known = createKnownTokens(remembered, now);

  let nextLookAt = Number.NEGATIVE_INFINITY;
  const lookWhetherMisdirected = (token: string) => {
    const at = performance.now();
    if (!onMisdirected || at < nextLookAt) return;
    const claims = findMisdirected(token, { findKey: keys.find, ...expected, now: now() });
    nextLookAt = at + (claims ? TOLD_MS : LOOK_MS);
    if (claims) onMisdirected(claims);
  };

  /** Undefined when the token names a key that is not known. */
  const checkSignature = (token: string): AccessClaims | null | undefined => {
    let kid = "";
    let isKeyKnown = true;
    const findKey = (name: string) => {
      const key = keys.find(name);
      kid = name;
      isKeyKnown = key !== undefined;
      return key;
    };
    const claims = verifyAccessToken(token, { findKey, ...expected, now: now() });
    if (!claims) {
      lookWhetherMisdirected(token);
      return isKeyKnown ? null : undefined;
    }
    known.add({ token: detached(token), claims: frozen(claims), kid });
    return claims;
  };
  const recall = (token: string): AccessClaims | null => {
    const found = known.find(token);
    if (!found) return null;
    // A key may have been retired since.
    if (found.claims.exp > now() / 1000 && keys.find(found.kid)) return found.claims;
    known.forget(token);
    return null;
  };

  return {
    /** What a token says; null unless it is signed with a key that is accepted now, in time, and from and for ours. */
    async check(token: string): Promise<AccessClaims | null> {
      const claims = recall(token) ?? checkSignature(token);
      if (claims !== undefined) return claims;
      await keys.reread();
      return checkSignature(token) ?? null;
    },
    forget: known.forget,
  };
}

// A string that was cut out of another, such as a padded header, keeps all of that in memory.
function detached(token: string): string {
  return Buffer.from(token, "latin1").toString("latin1");
}

// The same object is handed out each time.
function frozen(claims: AccessClaims): AccessClaims {
  Object.freeze(claims.roles);
  return Object.freeze(claims);
}
