import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import { type AccessClaims, verifyAccessToken } from "../token/strict-jwt.ts";
import { createKnownTokens } from "./known-tokens.ts";
import { watchPublicKeys } from "./public-keys.ts";
import { followRevocations } from "./revocation-follower.ts";

/** What a token's check does while it is not known which sessions have ended. */
export type AwayPolicy = "introspect" | "reject" | "accept";

/** How to reach the service, and what its tokens must say. */
export interface VerifierOptions {
  /** Where the service speaks gRPC, such as `http://auth:50051`; or a Connect transport to it. */
  readonly service: string | Transport;
  /** A service key with the scope `watch`, and `introspect` for that policy. */
  readonly serviceKey: string;
  /** Claim `iss`: the service's JWT_ISSUER or PUBLIC_URL. */
  readonly issuer: string;
  /** Claim `aud`; `latchkey` unless the service's JWT_AUDIENCE is another. */
  readonly audience?: string;
  /**
   * Once the stream of revocations has been away for `awayAfterMs`: `introspect` (the default) asks the service about
   * each token, `reject` throws VerifierAway, `accept` goes by signature and time alone.
   */
  readonly whenAway?: AwayPolicy;
  /** 5,000 unless given. Until then, what is known is taken to be all. */
  readonly awayAfterMs?: number;
  /** Tokens whose signature is remembered, 100,000 unless given; about 1 KB each. */
  readonly remembered?: number;
}

/** It is not known whether the session of a token has ended. */
export class VerifierAway extends Error {
  constructor(cause?: unknown) {
    super("it is not known which sessions have ended", { cause });
    this.name = "VerifierAway";
  }
}

/** Checks access tokens in process, with no call per request. */
export interface Verifier {
  /** What a token says; null unless it is good at this moment. Throws VerifierAway. */
  verify(token: string): Promise<AccessClaims | null>;
  /** Resolves when the keys and all revocations in force are known; rejects when the signal is aborted before. */
  ready(signal?: AbortSignal): Promise<void>;
  /** Whether the stream of revocations is there, or was a moment ago. */
  isInSync(): boolean;
  /** Ends the stream; there is nothing to wait for. */
  close(): void;
}

/** How far the service's clock may be ahead, in seconds. */
const LEEWAY = 30;
const AWAY_AFTER_MS = 5_000;
const REMEMBERED = 100_000;

/** Begins to follow a service. Needs no answer from it: `ready` waits for that. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, audience = "latchkey", whenAway = "introspect", awayAfterMs = AWAY_AFTER_MS } = options;
  const client = createTokenClient(options);
  const keys = watchPublicKeys(client);
  const revocations = followRevocations(client, awayAfterMs);
  const known = createKnownTokens(options.remembered ?? REMEMBERED);

  const check = (token: string): AccessClaims | null =>
    verifyAccessToken(token, { findKey: keys.find, issuer, audience, now: Date.now(), leeway: LEEWAY });
  const checkWithKeys = async (token: string): Promise<AccessClaims | null> => {
    const missed = keys.misses();
    const claims = check(token);
    if (claims || keys.misses() === missed || !(await keys.fetch())) return claims;
    return check(token);
  };
  const ask = async (token: string, claims: AccessClaims): Promise<AccessClaims | null> => {
    if (whenAway === "accept") return claims;
    if (whenAway === "reject") throw new VerifierAway(revocations.failure());
    const { active } = await client.introspectToken({ token }).catch((error) => {
      throw new VerifierAway(error);
    });
    return active ? claims : null;
  };

  return {
    async verify(token) {
      const claims = known.find(token) ?? known.remember(token, await checkWithKeys(token));
      if (!claims) return null;
      if (revocations.has(claims.sid)) {
        known.forget(token);
        return null;
      }
      return revocations.isInSync() ? claims : ask(token, claims);
    },
    async ready(signal) {
      await Promise.all([keys.ready(signal), revocations.ready(signal)]);
    },
    isInSync: revocations.isInSync,
    close() {
      keys.close();
      revocations.close();
    },
  };
}

function createTokenClient({ service, serviceKey }: VerifierOptions): Client<typeof TokenService> {
  const transport = typeof service === "string" ? createGrpcTransport({ baseUrl: service }) : service;
  const client = createClient(TokenService, transport);
  const headers = { authorization: `Bearer ${serviceKey}` };
  const withKey = <O extends { readonly signal?: AbortSignal }>(options?: O) => ({ ...options, headers });
  return {
    introspectToken: (request, options) => client.introspectToken(request, { timeoutMs: 5_000, ...withKey(options) }),
    listSigningKeys: (request, options) => client.listSigningKeys(request, { timeoutMs: 5_000, ...withKey(options) }),
    watchRevocations: (request, options) => client.watchRevocations(request, withKey(options)),
  };
}
