import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import type { Auth } from "../auth/auth.ts";
import type { CallContextOf } from "./call-context.ts";
import { SCOPES, serviceKeyMessage, userMessage } from "./messages.ts";

/** AdminService on the wire: each handler translates and nothing else. */
export const createAdminService = (
  { admin, serviceKeys }: Auth,
  callContext: CallContextOf,
): ServiceImpl<typeof AdminService> => ({
  async getUser({ userId }) {
    return { user: userMessage(await admin.getUser(userId)) };
  },

  async listUsers({ prefix, pageSize, pageToken }) {
    const { users, nextPageToken } = await admin.listUsers({ prefix, pageSize, pageToken });
    return { users: users.map(userMessage), nextPageToken };
  },

  async createUser({ username, email, password, locale, roles, emailConfirmed }, context) {
    const user = await admin.createUser(
      { username, email, password, locale, roles, emailConfirmed },
      callContext(context),
    );
    return { user: userMessage(user) };
  },

  async setUserActive({ userId, isActive, reason, untilTime }) {
    const until = untilTime && timestampDate(untilTime);
    return { user: userMessage(await admin.setUserActive({ userId, isActive, reason, until })) };
  },

  async setUserRoles({ userId, roles }) {
    return { user: userMessage(await admin.setUserRoles(userId, roles)) };
  },

  async revokeUserSessions({ userId }) {
    return { revokedSessions: await admin.revokeUserSessions(userId) };
  },

  async deleteUser({ userId }) {
    await admin.deleteUser(userId);
    return {};
  },

  async createServiceKey({ name, scopes, expireTime }) {
    const expiresAt = expireTime && timestampDate(expireTime);
    // A number that is no scope goes on as a word that is none.
    const words = scopes.map((scope) => SCOPES.get(scope) ?? "");
    const { serviceKey, key } = await serviceKeys.create({ name, scopes: words, expiresAt });
    return { serviceKey: serviceKeyMessage(serviceKey), key };
  },

  async listServiceKeys() {
    return { serviceKeys: (await serviceKeys.list()).map(serviceKeyMessage) };
  },

  async revokeServiceKey({ serviceKeyId }) {
    return { revoked: await serviceKeys.revoke(serviceKeyId) };
  },
});
