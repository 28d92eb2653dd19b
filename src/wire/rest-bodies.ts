import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { SignInResponse } from "../../gen/auth/v1/auth_service_pb.ts";
import type { Tokens } from "../../gen/auth/v1/session_pb.ts";
import type { User } from "../../gen/auth/v1/user_pb.ts";

/** Members that may name the account: the first of them that is there does. */
export const LOGIN_MEMBERS = ["login", "username", "email"] as const;

/** What `POST /sign-in` takes: credentials, and the device they are given on; a null counts as not there. */
export interface SignInSchema {
  readonly login?: string | null | undefined;
  readonly username?: string | null | undefined;
  readonly email?: string | null | undefined;
  readonly password: string;
  readonly device_name?: string | null | undefined;
  /** Any refresh token that the account ever got on this device. */
  readonly device_token?: string | null | undefined;
}

/** The four members of an account that the documented routes tell. */
export interface AccountBody {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly is_active: boolean;
}

/** The tokens of a session; how long they are good is in seconds. */
export interface TokensBody {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly token_type: string;
  readonly expires_in: number;
  readonly refresh_expires_in: number;
}

/** What `POST /sign-in` answers. */
export interface SignedIn extends TokensBody {
  readonly user: AccountBody;
}

/** Writes an account as REST tells it. */
export function accountBody({ id, username, email, isActive }: User): AccountBody {
  return { id: Number(id), username, email, is_active: isActive };
}

/** Writes tokens as REST tells them. */
export function tokensBody(tokens: Tokens): TokensBody {
  return {
    access_token: tokens.accessToken,
    refresh_token: tokens.refreshToken,
    token_type: tokens.tokenType,
    expires_in: tokens.expiresIn,
    refresh_expires_in: tokens.expiresIn + secondsBetween(tokens.accessExpireTime, tokens.refreshExpireTime),
  };
}

/** Writes a sign-in as REST tells it; throws when the answer lacks the tokens or the account. */
export function signedInBody({ tokens, user }: SignInResponse): SignedIn {
  if (!tokens || !user) throw new Error("a sign-in without tokens or account");
  return { ...tokensBody(tokens), user: accountBody(user) };
}

function secondsBetween(start: Timestamp | undefined, end: Timestamp | undefined): number {
  return start && end ? Math.floor((timestampMs(end) - timestampMs(start)) / 1000) : 0;
}
