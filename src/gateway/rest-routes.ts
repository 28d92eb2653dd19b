import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { AuthError } from "../auth/errors.ts";
import { LOGIN_MEMBERS, signedInBody } from "../wire/rest-bodies.ts";
import type { Input } from "./input.ts";
import { knownAccount, knownTokens, signedUpBody } from "./rest-bodies.ts";
import { type RestRoute, rest } from "./rest-row.ts";

const auth = AuthService.method;
const admin = AdminService.method;

/** The table of REST routes: each row is one route. */
export const REST_ROUTES: readonly RestRoute[] = [
  rest({
    method: "POST",
    path: "/sign-in",
    rpc: auth.signIn,
    read: credentials,
    write: signedInBody,
  }),
  rest({
    method: "POST",
    path: "/auth/signup",
    rpc: auth.signUp,
    read: newAccount,
    write: ({ user }) => knownAccount(user),
    statuses: { EMAIL_TAKEN: 400, USERNAME_TAKEN: 400 },
  }),
  rest({
    method: "POST",
    path: "/auth/login",
    rpc: auth.signIn,
    read: (input) => ({ ...credentials(input), fixedRefreshToken: true }),
    write: signedInBody,
  }),
  rest({
    method: "POST",
    path: "/auth/refresh",
    rpc: auth.refreshToken,
    read: (input) => ({ refreshToken: input.text("refresh_token") }),
    write: ({ tokens }) => knownTokens(tokens),
  }),
  rest({
    method: "POST",
    path: "/auth/logout",
    rpc: auth.signOut,
    read: (input) => ({ refreshToken: input.textIfReadable("refresh_token") }),
    write: () => ({ message: "Logout successful" }),
  }),
  rest({
    method: "GET",
    path: "/auth/me",
    rpc: auth.getMe,
    read: () => ({}),
    write: ({ user }) => knownAccount(user),
  }),
  rest({
    method: "POST",
    path: "/api/auth/signup",
    rpc: auth.signUp,
    read: newAccount,
    write: signedUpBody,
    status: 201,
  }),
  rest({
    method: "POST",
    path: "/api/auth/login",
    rpc: auth.signIn,
    read: credentials,
    write: signedInBody,
  }),
  rest({
    method: "POST",
    path: "/api/auth/logout",
    rpc: auth.signOut,
    read: (input) => ({ refreshToken: input.takeBearer() }),
    write: ({ signedOut }) => {
      if (!signedOut) throw new AuthError("INVALID_TOKEN");
      return { message: "Logout successful" };
    },
  }),
  rest({
    method: "GET",
    path: "/api/auth/refresh_token",
    rpc: auth.refreshToken,
    read: (input) => ({ refreshToken: input.takeBearer() }),
    write: ({ tokens }) => knownTokens(tokens),
    changes: true,
  }),
  rest({
    method: "GET",
    path: "/api/auth/confirmed_email/{token}",
    rpc: auth.confirmEmail,
    read: (input) => ({ token: input.pathText("token") }),
    write: ({ alreadyConfirmed, passwordRequired }) => {
      if (alreadyConfirmed) return { message: "Your email is already confirmed" };
      return {
        message: passwordRequired ? "Email confirmed. Check your email to choose a password." : "Email confirmed",
      };
    },
    statuses: { INVALID_TOKEN: 400 },
    changes: true,
    page: (input) => `/account/confirm/${encodeURIComponent(input.pathText("token"))}`,
  }),
  rest({
    method: "POST",
    path: "/api/auth/request_email",
    rpc: auth.requestEmailConfirmation,
    read: (input) => ({ email: input.text("email") }),
    write: ({ alreadyConfirmed }) => ({
      message: alreadyConfirmed ? "Your email is already confirmed" : "Check your email for confirmation.",
    }),
  }),
  rest({
    method: "POST",
    path: "/api/auth/block_user/{user_id}",
    rpc: admin.setUserActive,
    read: (input) => ({ userId: input.pathId("user_id"), ...activity(input.flag("is_active")) }),
    write: ({ user }) => ({ message: user?.isActive ? "User unblocked" : "User blocked", ...knownAccount(user) }),
  }),
];

function newAccount(input: Input) {
  return {
    username: input.text("username"),
    email: input.text("email"),
    password: input.text("password"),
    locale: input.text("locale"),
  };
}

function credentials(input: Input) {
  return {
    login: input.text("login", ...LOGIN_MEMBERS),
    password: input.text("password"),
    deviceName: input.text("device_name"),
    deviceToken: input.text("device_token"),
  };
}

function activity(isActive: boolean | undefined): { isActive?: boolean } {
  return isActive === undefined ? {} : { isActive };
}
