import type { AccessClaims } from "../token/strict-jwt.ts";
import { createTokenChecker } from "../token/token-checker.ts";
import { watchPublicKeys } from "./public-keys.ts";
import { followRevocations } from "./revocation-follower.ts";
import { createTokenSource } from "./token-source.ts";
import { VerifierAway } from "./verifier-away.ts";
import { type FilledOptions, fillOptions, type VerifierOptions } from "./verifier-options.ts";

/** Checks access tokens in process, with no call per request. */
export interface Verifier {
  /** What a token says; null unless it is good at this moment. Throws VerifierAway when that is not known. */
  verify(token: string): Promise<AccessClaims | null>;
  /** Resolves when the keys and all revocations in force are known; rejects when the signal is aborted before. */
  ready(signal?: AbortSignal): Promise<void>;
  /** Whether the stream of revocations is there, or was a moment ago. */
  isInSync(): boolean;
  /** Ends the stream, which keeps the process alive until then, and every check under way. */
  close(): void;
}

/** How far the service's clock may be ahead, in seconds. */
const LEEWAY = 30;

/** Begins to follow a service. Needs no answer from it: `ready` waits for that. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, audience, awayAfterMs, remembered, ...filled } = fillOptions(options);
  const closer = new AbortController();
  const closing = closer.signal;
  const onFailure = separated(filled.onFailure);
  const source = createTokenSource(filled, closing);
  const keys = watchPublicKeys(source, onFailure, closing);
  const revocations = followRevocations(source, { awayAfterMs, onFailure, closing });
  const checker = createTokenChecker({
    ...{ keys, issuer, audience, remembered, leeway: LEEWAY, now: Date.now },
    onMisdirected: ({ iss, aud }) =>
      onFailure(iss === issuer ? misdirected("audience", aud, audience) : misdirected("issuer", iss, issuer)),
  });

  const ask = async (token: string, claims: AccessClaims): Promise<AccessClaims | null> => {
    if (filled.whenAway === "accept") return claims;
    if (filled.whenAway === "reject") throw notInSync(revocations.failure());
    const isActive = await source.introspect(token).catch((error) => {
      throw notInSync(error);
    });
    return isActive ? claims : null;
  };

  return {
    async verify(token) {
      closing.throwIfAborted();
      const claims = await checker.check(token);
      if (!claims) return null;
      if (revocations.has(claims.sid)) {
        checker.forget(token);
        return null;
      }
      return revocations.isInSync() ? claims : ask(token, claims);
    },
    async ready(signal) {
      const either = signal ? AbortSignal.any([signal, closing]) : closing;
      await Promise.all([keys.ready(either), revocations.ready(either)]);
    },
    isInSync: revocations.isInSync,
    close: () => closer.abort(new VerifierAway("the verifier was closed")),
  };
}

function notInSync(cause: unknown): VerifierAway {
  return new VerifierAway("it is not known which sessions have ended", { cause });
}

// Most often it is an option that is wrong, and all tokens are refused.
function misdirected(option: "issuer" | "audience", found: string, expected: string): Error {
  const [theirs, ours] = [found, expected].map((text) => JSON.stringify(text));
  return new Error(`a token that the service has signed was refused: its ${option} is ${theirs}, not ${ours}`);
}

/** Tells it apart from what goes on here, so that what it throws ends nothing of that. */
function separated(onFailure: FilledOptions["onFailure"]): FilledOptions["onFailure"] {
  return (error) => process.nextTick(onFailure, error);
}
