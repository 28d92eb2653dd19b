import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { SignUpResponse } from "../../gen/auth/v1/auth_service_pb.ts";
import type { Tokens } from "../../gen/auth/v1/session_pb.ts";
import type { User } from "../../gen/auth/v1/user_pb.ts";
import { accountBody, tokensBody } from "../wire/rest-bodies.ts";

const NO_ACCOUNT = { id: null, username: null, email: null, is_active: null };

/** An account; one that is not told has nulls. */
export function knownAccount(user: User | undefined): object {
  return user ? accountBody(user) : NO_ACCOUNT;
}

/** The tokens of a session; nothing when there are none. */
export function knownTokens(tokens: Tokens | undefined): object {
  return tokens ? tokensBody(tokens) : {};
}

/** The account after a sign-up, with a sentence about what comes next. */
export function signedUpBody({ user, confirmationRequired, tokens }: SignUpResponse): object {
  return {
    ...knownAccount(user),
    email_confirmed: user?.emailConfirmed ?? null,
    created_at: user?.createTime ? timestampDate(user.createTime).toISOString() : null,
    message: confirmationRequired ? "User created. Check your email for confirmation." : "User created.",
    ...knownTokens(tokens),
  };
}
