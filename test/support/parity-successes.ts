import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { SignOutScope } from "../../gen/auth/v1/session_pb.ts";
import { blocked, type Case, contested, person, REST, row, signedIn, signedUp, type World } from "./parity-kit.ts";
import { newPerson, PASSWORD, readMail, signIn } from "./people.ts";

const auth = AuthService.method;
const admin = AdminService.method;

/** A call by the admin about somebody. */
const byAdmin =
  <T extends { readonly id: bigint }, Request>(
    about: (world: World) => Promise<T>,
    ask: (somebody: T & { readonly userId: bigint }) => Request,
  ) =>
  async (world: World) => {
    const somebody = await about(world);
    return { request: ask({ ...somebody, userId: somebody.id }), token: world.admin.accessToken };
  };

/** Calls that succeed. */
export const SUCCESSES: readonly Case[] = [
  row("SignUp", auth.signUp, async () => ({ request: newPerson() }), { rest: REST.signUp({ old: 200, api: 201 }) }),
  row(
    "ConfirmEmail by link",
    auth.confirmEmail,
    async (world) => {
      const { email } = await signedUp(world);
      return { request: { token: (await readMail(world.service, email)).token } };
    },
    { rest: REST.confirm(200, "Email confirmed") },
  ),
  row("ConfirmEmail by code", auth.confirmEmail, async (world) => {
    const { email } = await signedUp(world);
    return { request: { email, code: (await readMail(world.service, email)).code } };
  }),
  row(
    "ConfirmEmail a second time",
    auth.confirmEmail,
    async (world) => {
      const { token } = await readMail(world.service, (await signedUp(world)).email);
      await world.service.auth.confirmEmail({ token });
      return { request: { token } };
    },
    { rest: REST.confirm(200, "Your email is already confirmed") },
  ),
  row(
    "ConfirmEmail of a contested account",
    auth.confirmEmail,
    async (world) => ({ request: { token: (await contested(world)).token } }),
    { rest: REST.confirm(200, "Email confirmed. Check your email to choose a password.") },
  ),
  row(
    "RequestEmailConfirmation",
    auth.requestEmailConfirmation,
    async (world) => ({ request: { email: (await signedUp(world)).email } }),
    { rest: REST.requestMail(200, "Check your email for confirmation.") },
  ),
  row(
    "RequestEmailConfirmation of an unknown address",
    auth.requestEmailConfirmation,
    async () => ({ request: { email: newPerson().email } }),
    { rest: REST.requestMail(200, "Check your email for confirmation.") },
  ),
  row(
    "RequestEmailConfirmation of a confirmed address",
    auth.requestEmailConfirmation,
    async (world) => ({ request: { email: (await person(world)).email } }),
    { rest: REST.requestMail(200, "Your email is already confirmed") },
  ),
  row(
    "SignIn",
    auth.signIn,
    async (world) => ({ request: { login: (await person(world)).username, password: PASSWORD, deviceName: "phone" } }),
    { rest: REST.signIn(200) },
  ),
  row(
    "RefreshToken",
    auth.refreshToken,
    async (world) => ({ request: { refreshToken: (await signedIn(world)).refreshToken } }),
    { rest: REST.refresh(200) },
  ),
  row("GetMe", auth.getMe, async (world) => ({ request: {}, token: (await signedIn(world)).accessToken }), {
    rest: REST.me(200),
  }),
  row("ListSessions", auth.listSessions, async (world) => {
    const given = await signedIn(world);
    return { request: {}, token: (await signIn(world.service, given)).accessToken };
  }),
  row("RevokeSession", auth.revokeSession, async (world) => {
    const { accessToken: token, options } = await signedIn(world);
    const { session } = await world.service.auth.getMe({}, options);
    return { request: { sessionId: session?.id ?? "" }, token };
  }),
  row(
    "SignOut by refresh token",
    auth.signOut,
    async (world) => ({ request: { refreshToken: (await signedIn(world)).refreshToken } }),
    { rest: REST.signOut() },
  ),
  row(
    "SignOut by access token",
    auth.signOut,
    async (world) => ({ request: {}, token: (await signedIn(world)).accessToken }),
    { rest: REST.signOut() },
  ),
  row("SignOut everywhere", auth.signOut, async (world) => ({
    request: { scope: SignOutScope.ALL, refreshToken: (await signedIn(world)).refreshToken },
  })),
  row("SignOut of nothing", auth.signOut, async () => ({ request: { refreshToken: "junk" } }), {
    rest: REST.signOut(),
  }),
  row("RequestPasswordReset", auth.requestPasswordReset, async () => ({ request: { email: newPerson().email } })),
  row("ResetPassword", auth.resetPassword, async (world) => {
    const { email } = await person(world);
    await world.service.auth.requestPasswordReset({ email });
    return { request: { token: (await readMail(world.service, email)).token, newPassword: "a new password" } };
  }),
  row(
    "GetUser",
    admin.getUser,
    byAdmin(blocked, ({ userId }) => ({ userId })),
  ),
  row(
    "ListUsers",
    admin.listUsers,
    byAdmin(person, ({ email }) => ({ prefix: email, pageSize: 1 })),
  ),
  row("CreateUser", admin.createUser, async (world) => {
    return { request: { ...newPerson(), roles: ["ops", "dev"], locale: "de" }, token: world.admin.accessToken };
  }),
  row(
    "SetUserActive to block",
    admin.setUserActive,
    byAdmin(signedIn, ({ user }) => ({ userId: user.id, isActive: false })),
    { rest: REST.block(200, "User blocked") },
  ),
  row(
    "SetUserActive to unblock",
    admin.setUserActive,
    byAdmin(blocked, ({ userId }) => ({ userId, isActive: true })),
    { rest: REST.block(200, "User unblocked") },
  ),
  row(
    "SetUserRoles",
    admin.setUserRoles,
    byAdmin(person, ({ userId }) => ({ userId, roles: ["b", "a"] })),
  ),
  row(
    "RevokeUserSessions",
    admin.revokeUserSessions,
    byAdmin(signedIn, ({ user }) => ({ userId: user.id })),
  ),
];
