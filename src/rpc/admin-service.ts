import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { auditEventMessage, readEventType } from "./audit-messages.ts";
import type { CallContextOf } from "./call-context.ts";
import { SCOPES, serviceKeyMessage, userMessage } from "./messages.ts";

/** AdminService on the wire: each handler translates and nothing else. */
export const createAdminService = (
  { admin, auditLog, serviceKeys }: Auth,
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

  async setUserActive({ userId, isActive, reason, untilTime }, context) {
    const until = untilTime && timestampDate(untilTime);
    const change = { userId, isActive, reason, until };
    return { user: userMessage(await admin.setUserActive(change, callContext(context))) };
  },

  async setUserRoles({ userId, roles }, context) {
    return { user: userMessage(await admin.setUserRoles(userId, roles, callContext(context))) };
  },

  async revokeUserSessions({ userId }, context) {
    return { revokedSessions: await admin.revokeUserSessions(userId, callContext(context)) };
  },

  async deleteUser({ userId }, context) {
    await admin.deleteUser(userId, callContext(context));
    return {};
  },

  async createServiceKey({ name, scopes, expireTime }, context) {
    const expiresAt = expireTime && timestampDate(expireTime);
    // A number that is no scope goes on as a word that is none.
    const words = scopes.map((scope) => SCOPES.get(scope) ?? "");
    const { serviceKey, key } = await serviceKeys.create({ name, scopes: words, expiresAt }, callContext(context));
    return { serviceKey: serviceKeyMessage(serviceKey), key };
  },

  async listServiceKeys() {
    return { serviceKeys: (await serviceKeys.list()).map(serviceKeyMessage) };
  },

  async revokeServiceKey({ serviceKeyId }, context) {
    return { revoked: await serviceKeys.revoke(serviceKeyId, callContext(context)) };
  },

  async listAuditEvents({ userId, type, sinceTime, untilTime, pageSize, pageToken }) {
    const [since, until] = [sinceTime, untilTime].map((time) => (time ? timestampDate(time) : null));
    const page = { userId, type: readEventType(type), since: since ?? null, until: until ?? null, pageSize, pageToken };
    const { events, nextPageToken, followToken } = await auditLog.list(page);
    return { events: events.map(auditEventMessage), nextPageToken, followToken };
  },
});
