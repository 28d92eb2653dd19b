import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { type Case, person, row, signedIn, type World } from "./parity-kit.ts";
import { newPerson, PASSWORD } from "./people.ts";

const { changePassword, getMe, updateMe } = AuthService.method;
const { deleteUser } = AdminService.method;

const NEW = "another horse battery";

/** A call by somebody who is signed in. */
const bySomebody =
  <Request>(request: Request) =>
  async (world: World) => ({ request, token: (await signedIn(world)).accessToken });

/** Changes and deletions of accounts that succeed. */
export const ACCOUNT_SUCCESSES: readonly Case[] = [
  row("UpdateMe", updateMe, async (world) => {
    const request = { username: newPerson().username, locale: "de" };
    return { request, token: (await signedIn(world)).accessToken };
  }),
  row("UpdateMe to nothing else", updateMe, bySomebody({})),
  row("ChangePassword", changePassword, bySomebody({ currentPassword: PASSWORD, newPassword: NEW })),
  row("DeleteUser", deleteUser, async (world) => {
    return { request: { userId: (await person(world)).id }, token: world.admin.accessToken };
  }),
];

/** The same that the rules refuse. */
export const ACCOUNT_REFUSALS: readonly Case[] = [
  row("UpdateMe with every field at fault", updateMe, bySomebody({ username: "a b", locale: "no locale" }), {
    reason: "INVALID_ARGUMENT",
  }),
  row(
    "UpdateMe to a taken username",
    updateMe,
    async (world) => {
      const { username } = await person(world);
      return { request: { username: username.toUpperCase() }, token: (await signedIn(world)).accessToken };
    },
    { reason: "USERNAME_TAKEN" },
  ),
  row("UpdateMe without a token", updateMe, async () => ({ request: {} }), { reason: "INVALID_TOKEN" }),
  row("ChangePassword with every field at fault", changePassword, bySomebody({ newPassword: "password123" }), {
    reason: "INVALID_ARGUMENT",
  }),
  row(
    "ChangePassword with a wrong password",
    changePassword,
    bySomebody({ currentPassword: "wrong password", newPassword: NEW }),
    { reason: "INVALID_CREDENTIALS" },
  ),
  row(
    "ChangePassword without a token",
    changePassword,
    async () => ({ request: { currentPassword: PASSWORD, newPassword: NEW } }),
    { reason: "INVALID_TOKEN" },
  ),
  row(
    "GetMe after the deletion",
    getMe,
    async (world) => {
      const { user, accessToken: token } = await signedIn(world);
      await world.service.admin.deleteUser({ userId: user.id }, world.admin.options);
      return { request: {}, token };
    },
    { reason: "INVALID_TOKEN" },
  ),
  row(
    "DeleteUser of nobody",
    deleteUser,
    async ({ admin }) => {
      return { request: { userId: 999_999_999n }, token: admin.accessToken };
    },
    { reason: "USER_NOT_FOUND" },
  ),
  row(
    "DeleteUser by somebody",
    deleteUser,
    async (world) => {
      const { user, accessToken: token } = await signedIn(world);
      return { request: { userId: user.id }, token };
    },
    { reason: "PERMISSION_DENIED" },
  ),
  row(
    "DeleteUser of the last admin",
    deleteUser,
    async ({ admin }) => ({ request: { userId: admin.user.id }, token: admin.accessToken }),
    { reason: "LAST_ADMIN" },
  ),
];
