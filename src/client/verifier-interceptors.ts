import { Code, ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import { bearerOf } from "../token/bearer.ts";
import type { AccessClaims } from "../token/strict-jwt.ts";
import type { Verifier } from "./verifier.ts";
import { VerifierAway } from "./verifier-away.ts";

/** What the caller's token says, in the context of a Connect handler behind `connectInterceptor`. */
export const claimsKey = createContextKey<AccessClaims | null>(null, { description: "claims of the access token" });

// In the service's own words.
const NO_TOKEN = "Invalid or expired token";
const AWAY = "Service temporarily unavailable";

/**
 * A Connect server interceptor: calls without a good token are refused, `unauthenticated`; `unavailable` when it is not
 * known whether it is good. What has begun goes on, whatever becomes of the token. Handlers read `claimsKey`.
 */
export function connectInterceptor(verifier: Verifier): Interceptor {
  return (next) => async (req) => {
    const claims = await verifyBearer(verifier, req.header.get("authorization")).catch((error) => {
      throw error instanceof VerifierAway ? new ConnectError(AWAY, Code.Unavailable, undefined, [], error) : error;
    });
    if (!claims) throw new ConnectError(NO_TOKEN, Code.Unauthenticated);
    req.contextValues.set(claimsKey, claims);
    return next(req);
  };
}

const claimsOfMetadata = new WeakMap<Metadata, AccessClaims>();

/** What the caller's token says, in a grpc-js handler behind `grpcInterceptor`: `claimsOf(call.metadata)`. */
export function claimsOf(metadata: Metadata): AccessClaims | undefined {
  return claimsOfMetadata.get(metadata);
}

/** What the interceptor of a whole grpc-js server lets through. */
export interface GrpcOptions {
  /** Whether a method, such as `/grpc.health.v1.Health/Check`, needs no token; all do unless given. */
  readonly isPublic?: ((path: string) => boolean) | undefined;
}

/**
 * A grpc-js server interceptor: calls without a good token are refused, UNAUTHENTICATED, before any message is read;
 * UNAVAILABLE when it is not known whether it is good. What has begun goes on. Handlers read `claimsOf`.
 */
export function grpcInterceptor(verifier: Verifier, { isPublic = () => false }: GrpcOptions = {}): ServerInterceptor {
  return ({ path }, call) => {
    if (isPublic(path)) return new ServerInterceptingCall(call);
    const guarded = new ServerInterceptingCall(call, {
      start(start) {
        const admit = (metadata: Metadata, pass: (metadata: Metadata) => void) =>
          verifyBearer(verifier, soleAuthorization(metadata)).then(
            (claims) => {
              if (!claims) return guarded.sendStatus({ code: status.UNAUTHENTICATED, details: NO_TOKEN });
              claimsOfMetadata.set(metadata, claims);
              pass(metadata);
            },
            () => guarded.sendStatus({ code: status.UNAVAILABLE, details: AWAY }),
          );
        start(new ServerListenerBuilder().withOnReceiveMetadata(admit).build());
      },
    });
    return guarded;
  };
}

// Of several, nobody could say which is meant.
function soleAuthorization(metadata: Metadata): unknown {
  const [value, ...others] = metadata.get("authorization");
  return others.length === 0 ? value : null;
}

/** What the token of an `authorization` header says; null without a good one. */
export async function verifyBearer(verifier: Verifier, authorization: unknown): Promise<AccessClaims | null> {
  const token = bearerOf(authorization);
  return token === null ? null : verifier.verify(token);
}
