import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ServiceKey as ServiceKeyMessage,
  ServiceKeySchema,
  ServiceKeyScope,
} from "../../gen/auth/v1/service_key_pb.ts";
import {
  type Session as SessionMessage,
  SessionSchema,
  type Tokens,
  TokensSchema,
} from "../../gen/auth/v1/session_pb.ts";
import {
  type AccessTokenClaims,
  AccessTokenClaimsSchema,
  type SigningKey as SigningKeyMessage,
  SigningKeySchema,
  type WatchRevocationsResponse,
  WatchRevocationsResponseSchema,
} from "../../gen/auth/v1/token_service_pb.ts";
import { type User as UserMessage, UserSchema } from "../../gen/auth/v1/user_pb.ts";
import type { RevocationEvent } from "../auth/revocation-watcher.ts";
import { publicJwk, type VerifyingKey } from "../auth/signing-key.ts";
import type { IssuedTokens } from "../auth/tokens.ts";
import type { ServiceKey, ServiceScope } from "../db/service-keys.ts";
import type { Session } from "../db/sessions.ts";
import type { User } from "../db/users.ts";
import type { AccessClaims } from "../token/strict-jwt.ts";

/** An account on the wire. */
export function userMessage(user: User): UserMessage {
  const { username, email, isActive, emailConfirmed, roles, locale, createdAt, lastSignInAt } = user;
  const init: MessageInitShape<typeof UserSchema> = {
    id: BigInt(user.id),
    username,
    email,
    isActive,
    emailConfirmed,
    roles: [...roles],
    locale,
  };
  return create(UserSchema, {
    ...init,
    createTime: timestampFromDate(createdAt),
    ...(lastSignInAt && { lastSignInTime: timestampFromDate(lastSignInAt) }),
  });
}

/** Tokens on the wire. */
export function tokensMessage({
  accessToken,
  refreshToken,
  expiresIn,
  accessExpiresAt,
  refreshExpiresAt,
}: IssuedTokens): Tokens {
  return create(TokensSchema, {
    ...{ accessToken, refreshToken, tokenType: "bearer", expiresIn },
    accessExpireTime: timestampFromDate(accessExpiresAt),
    refreshExpireTime: timestampFromDate(refreshExpiresAt),
  });
}

/** A session on the wire; `currentId` is the session that asks. */
export function sessionMessage(
  { id, deviceName, address, createdAt, lastUsedAt, expiresAt }: Session,
  currentId: string,
): SessionMessage {
  return create(SessionSchema, {
    ...{ id, deviceName, address, current: id === currentId },
    createTime: timestampFromDate(createdAt),
    lastUseTime: timestampFromDate(lastUsedAt),
    expireTime: timestampFromDate(expiresAt),
  });
}

/** What an access token says, on the wire. */
export function claimsMessage({ iss, aud, sub, sid, jti, iat, exp, username, roles }: AccessClaims): AccessTokenClaims {
  return create(AccessTokenClaimsSchema, {
    ...{ issuer: iss, audience: aud, userId: BigInt(sub), sessionId: sid, tokenId: jti, username, roles: [...roles] },
    issueTime: timestampFromMs(iat * 1000),
    expireTime: timestampFromMs(exp * 1000),
  });
}

/** The public half of a signing key on the wire. */
export function signingKeyMessage(key: VerifyingKey): SigningKeyMessage {
  return create(SigningKeySchema, publicJwk(key));
}

/** What a watcher of revocations is told, on the wire. */
export function revocationMessage({ cursor, revocation, inSync }: RevocationEvent): WatchRevocationsResponse {
  return create(WatchRevocationsResponseSchema, {
    ...{ cursor, inSync, sessionId: revocation?.sessionId ?? "" },
    ...(revocation && { expireTime: timestampFromDate(revocation.expiresAt) }),
  });
}

/** The scopes of service keys, by their names on the wire. */
export const SCOPES: ReadonlyMap<ServiceKeyScope, ServiceScope> = new Map([
  [ServiceKeyScope.INTROSPECT, "introspect"],
  [ServiceKeyScope.WATCH, "watch"],
  [ServiceKeyScope.ADMIN, "admin"],
  [ServiceKeyScope.GATEWAY, "gateway"],
]);

/** What is kept of a service key, on the wire. */
export function serviceKeyMessage(key: ServiceKey): ServiceKeyMessage {
  const { id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt } = key;
  return create(ServiceKeySchema, {
    ...{ id, name, createTime: timestampFromDate(createdAt) },
    scopes: [...SCOPES].filter(([, scope]) => scopes.includes(scope)).map(([value]) => value),
    ...(expiresAt && { expireTime: timestampFromDate(expiresAt) }),
    ...(revokedAt && { revokeTime: timestampFromDate(revokedAt) }),
    ...(lastUsedAt && { lastUseTime: timestampFromDate(lastUsedAt) }),
  });
}
