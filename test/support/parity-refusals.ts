import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import type { SignOutScope } from "../../gen/auth/v1/session_pb.ts";
import { blocked, type Case, person, REST, row, signedIn, signedUp, type World } from "./parity-kit.ts";
import { newPerson, PASSWORD } from "./people.ts";

const auth = AuthService.method;
const admin = AdminService.method;

const byAdmin =
  <Request>(request: Request) =>
  async ({ admin }: World) => ({ request, token: admin.accessToken });

const STRANGER_ID = 999_999_999n;
const INVALID = { reason: "INVALID_ARGUMENT" } as const;
const NO_TOKEN = { reason: "INVALID_TOKEN" } as const;

/** Requests with fields at fault. */
const FAULTY: readonly Case[] = [
  row(
    "SignUp with every field at fault",
    auth.signUp,
    async () => ({ request: { username: "a b", email: "nobody", password: "short", locale: "no locale" } }),
    { ...INVALID, rest: REST.signUp() },
  ),
  row(
    "SignUp with a common password and no username",
    auth.signUp,
    async () => ({ request: { email: newPerson().email, password: "password123" } }),
    { ...INVALID, rest: REST.signUp() },
  ),
  row("SignIn without credentials", auth.signIn, async () => ({ request: {} }), { ...INVALID, rest: REST.signIn(422) }),
  row(
    "SignIn from a device with a long name",
    auth.signIn,
    async () => {
      return { request: { login: "somebody", password: PASSWORD, deviceName: "x".repeat(101) } };
    },
    { ...INVALID, rest: REST.signIn(422) },
  ),
  row(
    "RequestEmailConfirmation of no address",
    auth.requestEmailConfirmation,
    async () => ({ request: { email: "@" } }),
    {
      ...INVALID,
      rest: REST.requestMail(422),
    },
  ),
  row("SignOut of an unknown scope", auth.signOut, async () => ({ request: { scope: 9 as SignOutScope } }), INVALID),
  row(
    "RevokeSession of no UUID",
    auth.revokeSession,
    async (world) => {
      return { request: { sessionId: "1" }, token: (await signedIn(world)).accessToken };
    },
    INVALID,
  ),
  row(
    "ListUsers of no page",
    admin.listUsers,
    byAdmin({ prefix: "x".repeat(300), pageSize: 101, pageToken: "?" }),
    INVALID,
  ),
  row("SetUserActive to nothing", admin.setUserActive, byAdmin({ userId: 0n }), { ...INVALID, rest: REST.block(422) }),
  row(
    "SetUserActive until the past",
    admin.setUserActive,
    byAdmin({
      ...{ userId: 1n, isActive: false, reason: "x".repeat(501) },
      untilTime: { seconds: 1n },
    }),
    INVALID,
  ),
  row("SetUserRoles to no roles", admin.setUserRoles, byAdmin({ userId: -1n, roles: ["No Role"] }), INVALID),
  row(
    "CreateUser with every field at fault",
    admin.createUser,
    byAdmin({ username: "-".repeat(65), email: "a@b", locale: "-" }),
    INVALID,
  ),
];

/** Calls that the rules refuse. */
export const REFUSALS: readonly Case[] = [
  ...FAULTY,
  row(
    "SignUp with a taken address",
    auth.signUp,
    async (world) => {
      return { request: { ...newPerson(), email: (await signedUp(world)).email } };
    },
    { reason: "EMAIL_TAKEN", rest: REST.signUp({ old: 400, api: 409 }) },
  ),
  row("SignUp with both names taken", auth.signUp, async (world) => ({ request: await person(world) }), {
    reason: "EMAIL_TAKEN",
    rest: REST.signUp({ old: 400, api: 409 }),
  }),
  row(
    "SignUp with a taken username",
    auth.signUp,
    async (world) => {
      return { request: { ...newPerson(), username: (await person(world)).username } };
    },
    { reason: "USERNAME_TAKEN", rest: REST.signUp({ old: 400, api: 409 }) },
  ),
  row(
    "CreateUser with a taken username",
    admin.createUser,
    async (world) => {
      const { username } = await person(world);
      return { request: { ...newPerson(), username }, token: world.admin.accessToken };
    },
    { reason: "USERNAME_TAKEN" },
  ),
  row(
    "SignIn of nobody",
    auth.signIn,
    async () => {
      return { request: { login: newPerson().username, password: PASSWORD } };
    },
    { reason: "INVALID_CREDENTIALS", rest: REST.signIn(401) },
  ),
  row(
    "SignIn with a wrong password",
    auth.signIn,
    async (world) => {
      return { request: { login: (await person(world)).email, password: "wrong password" } };
    },
    { reason: "INVALID_CREDENTIALS", rest: REST.signIn(401) },
  ),
  row(
    "SignIn before the confirmation",
    auth.signIn,
    async (world) => {
      return { request: { login: (await signedUp(world)).email, password: PASSWORD } };
    },
    { reason: "EMAIL_NOT_CONFIRMED", rest: REST.signIn(401) },
  ),
  row(
    "SignIn of somebody blocked",
    auth.signIn,
    async (world) => {
      return { request: { login: (await blocked(world)).email, password: PASSWORD } };
    },
    { reason: "USER_BLOCKED", rest: REST.signIn(403) },
  ),
  row("GetMe without a token", auth.getMe, async () => ({ request: {} }), { ...NO_TOKEN, rest: REST.me(401) }),
  row(
    "GetMe with a refresh token",
    auth.getMe,
    async (world) => {
      return { request: {}, token: (await signedIn(world)).refreshToken };
    },
    { ...NO_TOKEN, rest: REST.me(401) },
  ),
  row(
    "GetMe after the sign-out",
    auth.getMe,
    async (world) => {
      const { accessToken: token, refreshToken } = await signedIn(world);
      await world.service.auth.signOut({ refreshToken });
      return { request: {}, token };
    },
    { ...NO_TOKEN, rest: REST.me(401) },
  ),
  row("RefreshToken with junk", auth.refreshToken, async () => ({ request: { refreshToken: "junk" } }), {
    ...NO_TOKEN,
    rest: REST.refresh(401),
  }),
  row("RefreshToken of nothing", auth.refreshToken, async () => ({ request: {} }), {
    ...NO_TOKEN,
    rest: REST.refresh(401),
  }),
  row("ConfirmEmail with junk", auth.confirmEmail, async () => ({ request: { token: "junk" } }), {
    ...NO_TOKEN,
    rest: REST.confirm(400),
  }),
  row(
    "ConfirmEmail with a wrong code",
    auth.confirmEmail,
    async (world) => {
      return { request: { email: (await signedUp(world)).email, code: "x" } };
    },
    NO_TOKEN,
  ),
  row(
    "ResetPassword with junk",
    auth.resetPassword,
    async () => {
      return { request: { token: "junk", newPassword: "a new password" } };
    },
    NO_TOKEN,
  ),
  row("GetUser without a token", admin.getUser, async () => ({ request: { userId: 1n } }), NO_TOKEN),
  row(
    "SetUserActive without a token",
    admin.setUserActive,
    async () => ({ request: { userId: 1n, isActive: false } }),
    {
      ...NO_TOKEN,
      rest: REST.block(401),
    },
  ),
  row(
    "SetUserActive by somebody",
    admin.setUserActive,
    async (world) => {
      const { user, accessToken: token } = await signedIn(world);
      return { request: { userId: user.id, isActive: false }, token };
    },
    { reason: "PERMISSION_DENIED", rest: REST.block(403) },
  ),
  row("SetUserActive of nobody", admin.setUserActive, byAdmin({ userId: STRANGER_ID, isActive: false }), {
    reason: "USER_NOT_FOUND",
    rest: REST.block(404),
  }),
  row("GetUser of nobody", admin.getUser, byAdmin({ userId: STRANGER_ID }), { reason: "USER_NOT_FOUND" }),
  row(
    "RevokeSession of somebody else",
    auth.revokeSession,
    async (world) => {
      const { options } = await signedIn(world);
      const { session } = await world.service.auth.getMe({}, options);
      return { request: { sessionId: session?.id ?? "" }, token: (await signedIn(world)).accessToken };
    },
    { reason: "SESSION_NOT_FOUND" },
  ),
  row(
    "SetUserActive of the last admin",
    admin.setUserActive,
    async ({ admin }) => {
      return { request: { userId: admin.user.id, isActive: false }, token: admin.accessToken };
    },
    { reason: "LAST_ADMIN", rest: REST.block(409) },
  ),
  row(
    "SetUserRoles of the last admin",
    admin.setUserRoles,
    async ({ admin }) => {
      return { request: { userId: admin.user.id }, token: admin.accessToken };
    },
    { reason: "LAST_ADMIN" },
  ),
];
