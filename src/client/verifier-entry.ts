import type { AccessClaims } from "../token/strict-jwt.ts";
import type { Verifier } from "./verifier.ts";
import { verifyBearer } from "./verifier-interceptors.ts";

export type { AccessClaims } from "../token/strict-jwt.ts";
export { createVerifier, type Verifier } from "./verifier.ts";
export { VerifierAway } from "./verifier-away.ts";
export { claimsKey, claimsOf, connectInterceptor, type GrpcOptions, grpcInterceptor } from "./verifier-interceptors.ts";
export type { AwayPolicy, VerifierOptions } from "./verifier-options.ts";

/** What the token in the headers of a `node:http` request says; null without a good one. Throws as `verify` does. */
export function authenticate(
  verifier: Verifier,
  headers: { readonly authorization?: string | undefined },
): Promise<AccessClaims | null> {
  return verifyBearer(verifier, headers.authorization);
}
