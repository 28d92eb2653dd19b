import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import type { ServiceKeyScope } from "../../gen/auth/v1/service_key_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { invalidField } from "../auth/errors.ts";
import type { ServiceScope } from "../db/service-keys.ts";
import { deadlineOf } from "./deadline.ts";
import { SCOPES, serviceKeyMessage, userMessage } from "./messages.ts";

/** AdminService on the wire: each handler translates and nothing else. */
export const createAdminService = ({ admin, serviceKeys }: Auth): ServiceImpl<typeof AdminService> => ({
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
      deadlineOf(context),
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
    const { serviceKey, key } = await serviceKeys.create({ name, scopes: scopes.map(readScope), expiresAt });
    return { serviceKey: serviceKeyMessage(serviceKey), key };
  },

  async listServiceKeys() {
    return { serviceKeys: (await serviceKeys.list()).map(serviceKeyMessage) };
  },

  async revokeServiceKey({ serviceKeyId }) {
    return { revoked: await serviceKeys.revoke(serviceKeyId) };
  },
});

function readScope(scope: ServiceKeyScope): ServiceScope {
  const known = SCOPES.get(scope);
  if (!known) throw invalidField("scopes", "MALFORMED", "must be INTROSPECT, WATCH, ADMIN or GATEWAY");
  return known;
}
