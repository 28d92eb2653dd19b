import { createPublicKey } from "node:crypto";
import type { SigningKey } from "../../gen/auth/v1/token_service_pb.ts";
import type { VerifyingKey } from "../token/strict-jwt.ts";
import type { TokenKeys } from "../token/token-checker.ts";
import { createBackoff } from "./backoff.ts";
import { createSignal } from "./signal.ts";
import type { TokenSource } from "./token-source.ts";
import { VerifierAway } from "./verifier-away.ts";

/** The service's public keys, in memory. */
export interface PublicKeys extends TokenKeys {
  /** Resolves when they have been fetched once. */
  ready(signal: AbortSignal): Promise<void>;
}

/** A token that names an unknown key has the keys fetched at most this often. */
const REREAD_MS = 10_000;
/** In any case they are fetched this often: so long is a retired key accepted. */
const RENEW_MS = 60_000;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 30_000;

/** Fetches the service's public keys and goes on doing so, one request at a time. */
export function watchPublicKeys(
  source: Pick<TokenSource, "signingKeys">,
  onFailure: (error: unknown) => void,
  closing: AbortSignal,
): PublicKeys {
  const loaded = createSignal();
  let keys: ReadonlyMap<string, VerifyingKey> = new Map();
  let failure: unknown;
  let fetching: Promise<void> | null = null;
  let rereadAt = Number.NEGATIVE_INFINITY;

  const load = async () => {
    try {
      keys = readKeys(await source.signingKeys());
      failure = undefined;
      loaded.set();
    } catch (error) {
      failure = error;
      if (!closing.aborted) onFailure(error);
    } finally {
      fetching = null;
    }
  };
  const fetch = (): Promise<void> => {
    fetching ??= load();
    return fetching;
  };
  keepFetching(fetch, () => failure !== undefined, closing);

  return {
    find: (kid) => keys.get(kid),
    async reread() {
      const isDue = performance.now() - rereadAt >= REREAD_MS;
      if (!fetching && isDue) rereadAt = performance.now();
      if (fetching || isDue) await fetch();
      if (failure !== undefined) throw new VerifierAway("the signing keys are not known", { cause: failure });
    },
    ready: loaded.wait,
  };
}

/** Fetches at once and then again and again, sooner when that failed. */
function keepFetching(fetch: () => Promise<void>, hasFailed: () => boolean, closing: AbortSignal): void {
  const backoff = createBackoff(FIRST_RETRY_MS, LONGEST_RETRY_MS);
  let timer: NodeJS.Timeout | undefined;
  const turn = async () => {
    await fetch();
    if (closing.aborted) return;
    if (!hasFailed()) backoff.reset();
    // The stream is what keeps the process alive.
    timer = setTimeout(turn, hasFailed() ? backoff.next() : RENEW_MS).unref();
  };
  closing.addEventListener("abort", () => clearTimeout(timer), { once: true });
  void turn();
}

function readKeys(listed: readonly SigningKey[]): ReadonlyMap<string, VerifyingKey> {
  const keys = new Map(listed.flatMap(readKey));
  // Every token would be refused, and nobody told why.
  if (keys.size === 0) throw new Error("the service has no public keys: HS256 tokens cannot be verified here");
  return keys;
}

/** None of an algorithm that is not known here, from a newer service perhaps. */
function readKey({ kid, alg, kty, crv, x, y, n, e }: SigningKey): [string, VerifyingKey][] {
  if (alg !== "ES256" && alg !== "RS256" && alg !== "PS256") return [];
  const key = kty === "EC" ? { kty, crv, x, y } : { kty, n, e };
  return [[kid, { alg, publicKey: createPublicKey({ key, format: "jwk" }) }]];
}
