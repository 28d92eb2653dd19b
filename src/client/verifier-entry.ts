import type { IncomingHttpHeaders } from "node:http";
import type { AccessClaims } from "../token/strict-jwt.ts";
import { bearerOf } from "./bearer.ts";
import type { Verifier } from "./verifier.ts";

export type { AccessClaims } from "../token/strict-jwt.ts";
export { type AwayPolicy, createVerifier, type Verifier, VerifierAway, type VerifierOptions } from "./verifier.ts";
export { claimsKey, claimsOf, connectInterceptor, grpcInterceptor } from "./verifier-interceptors.ts";

/** What the token in the headers of a `node:http` request says; null without a good one. Throws VerifierAway. */
export async function authenticate(verifier: Verifier, headers: IncomingHttpHeaders): Promise<AccessClaims | null> {
  const token = bearerOf(headers.authorization);
  return token === null ? null : verifier.verify(token);
}
