import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Session as SessionMessage,
  SessionSchema,
  type Tokens,
  TokensSchema,
} from "../../gen/auth/v1/session_pb.ts";
import { type User as UserMessage, UserSchema } from "../../gen/auth/v1/user_pb.ts";
import type { IssuedTokens } from "../auth/tokens.ts";
import type { Session } from "../db/sessions.ts";
import type { User } from "../db/users.ts";

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
