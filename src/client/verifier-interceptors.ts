import { Code, ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import type { AccessClaims } from "../token/strict-jwt.ts";
import { bearerOf } from "./bearer.ts";
import type { Verifier } from "./verifier.ts";

/** What the caller's token says, in the context of a Connect handler behind `connectInterceptor`. */
export const claimsKey = createContextKey<AccessClaims | null>(null, { description: "claims of the access token" });

const NO_TOKEN = "Invalid or expired token";
const AWAY = "Service temporarily unavailable";

/** A Connect interceptor: calls without a good token are refused, `unauthenticated`; handlers read `claimsKey`. */
export function connectInterceptor(verifier: Verifier): Interceptor {
  return (next) => async (req) => {
    const token = bearerOf(req.header.get("authorization"));
    const claims = token === null ? null : await verifyOrUnavailable(verifier, token);
    if (!claims) throw new ConnectError(NO_TOKEN, Code.Unauthenticated);
    req.contextValues.set(claimsKey, claims);
    return next(req);
  };
}

async function verifyOrUnavailable(verifier: Verifier, token: string): Promise<AccessClaims | null> {
  try {
    return await verifier.verify(token);
  } catch (error) {
    throw new ConnectError(AWAY, Code.Unavailable, undefined, undefined, error);
  }
}

const claimsOfMetadata = new WeakMap<Metadata, AccessClaims>();

/** What the caller's token says, in a grpc-js handler behind `grpcInterceptor`: `claimsOf(call.metadata)`. */
export function claimsOf(metadata: Metadata): AccessClaims | undefined {
  return claimsOfMetadata.get(metadata);
}

/** A grpc-js server interceptor: calls without a good token are refused, UNAUTHENTICATED, before they are read. */
export function grpcInterceptor(verifier: Verifier): ServerInterceptor {
  return (_method, call) => {
    const guarded = new ServerInterceptingCall(call, {
      start(start) {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, pass) => {
          const token = bearerOf(metadata.get("authorization")[0]);
          const refuse = (code: status, details: string) => guarded.sendStatus({ code, details });
          Promise.resolve(token === null ? null : verifier.verify(token)).then(
            (claims) => {
              if (!claims) return refuse(status.UNAUTHENTICATED, NO_TOKEN);
              claimsOfMetadata.set(metadata, claims);
              pass(metadata);
            },
            () => refuse(status.UNAVAILABLE, AWAY),
          );
        });
        start(listener.build());
      },
    });
    return guarded;
  };
}
