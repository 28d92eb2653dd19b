import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import type { SignUpResponse } from "../../gen/auth/v1/auth_service_pb.ts";
import type { Tokens } from "../../gen/auth/v1/session_pb.ts";
import type { User } from "../../gen/auth/v1/user_pb.ts";

/** The four members of an account that the documented routes tell; an account that is not told has nulls. */
export function accountBody(user: User | undefined): object {
  return {
    id: user ? Number(user.id) : null,
    username: user?.username ?? null,
    email: user?.email ?? null,
    is_active: user?.isActive ?? null,
  };
}

/** The tokens of a session; nothing when there are none. */
export function tokensBody(tokens: Tokens | undefined): object {
  if (!tokens) return {};
  return {
    access_token: tokens.accessToken,
    refresh_token: tokens.refreshToken,
    token_type: tokens.tokenType,
    expires_in: tokens.expiresIn,
    refresh_expires_in: tokens.expiresIn + secondsBetween(tokens.accessExpireTime, tokens.refreshExpireTime),
  };
}

/** The account after a sign-up, with a sentence about what comes next. */
export function signedUpBody({ user, confirmationRequired, tokens }: SignUpResponse): object {
  return {
    ...accountBody(user),
    email_confirmed: user?.emailConfirmed ?? null,
    created_at: user?.createTime ? timestampDate(user.createTime).toISOString() : null,
    message: confirmationRequired ? "User created. Check your email for confirmation." : "User created.",
    ...tokensBody(tokens),
  };
}

function secondsBetween(start: Timestamp | undefined, end: Timestamp | undefined): number {
  return start && end ? Math.floor((timestampMs(end) - timestampMs(start)) / 1000) : 0;
}
