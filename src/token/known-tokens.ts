import type { AccessClaims } from "./strict-jwt.ts";

/** A token whose signature was found good, and the name of the key that it was found good with. */
export interface KnownToken {
  readonly token: string;
  readonly claims: AccessClaims;
  readonly kid: string;
}

const GENERATION_MS = 5 * 60_000;
/** The end of a signature tells tokens apart. To have all of a token hashed would take longer than all the rest. */
const TAG_LENGTH = 32;

/**
 * A bounded number of tokens, in two generations: those used since the last change, and those only used before it. At
 * a change the older one goes, which costs no more for many tokens than for few.
 */
export function createKnownTokens(limit: number, now: () => number) {
  let young = new Map<string, KnownToken>();
  let old: typeof young = new Map();
  let begunAt = now();

  const add = (known: KnownToken) => {
    if (limit === 0) return;
    if (young.size >= limit / 2 || now() - begunAt > GENERATION_MS) {
      old = young;
      young = new Map();
      begunAt = now();
    }
    young.set(tagOf(known.token), known);
  };
  return {
    find(token: string): KnownToken | undefined {
      const tag = tagOf(token);
      const known = young.get(tag);
      if (known?.token === token) return known;
      const older = old.get(tag);
      if (older?.token !== token) return undefined;
      add(older);
      return older;
    },
    add,
    size: () => young.size + old.size,
    forget(token: string): void {
      young.delete(tagOf(token));
      old.delete(tagOf(token));
    },
  };
}

function tagOf(token: string): string {
  return token.slice(-TAG_LENGTH);
}
