import { toJsonString } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import type { ServiceKey as ServiceKeyMessage, ServiceKeyScope } from "../../gen/auth/v1/service_key_pb.ts";
import type { ServiceKey, ServiceScope } from "../db/service-keys.ts";
import { SCOPES } from "./messages.ts";
import { createOperatorCall } from "./operator.ts";
import type { Routes } from "./routes.ts";

/** Builds the calls on service keys as whoever has the database makes them. They throw Refusal. */
export function createServiceKeyOperator({ operatorRoutes }: { readonly operatorRoutes: Routes }) {
  const call = createOperatorCall(operatorRoutes);
  const { createServiceKey, listServiceKeys, revokeServiceKey } = AdminService.method;
  return {
    async create(name: string, scopes: readonly ServiceScope[], expiresAt: Date | undefined) {
      const expireTime = expiresAt && { expireTime: timestampFromDate(expiresAt) };
      const { serviceKey, key } = await call(createServiceKey, { name, scopes: scopes.map(toMessage), ...expireTime });
      return { id: serviceKey?.id ?? "", key };
    },
    /** Every key, and the answer as proto JSON on one line. */
    async list(): Promise<{ serviceKeys: ServiceKey[]; json: string }> {
      const answer = await call(listServiceKeys, {});
      return { serviceKeys: answer.serviceKeys.map(readKey), json: toJsonString(listServiceKeys.output, answer) };
    },
    async revoke(serviceKeyId: string): Promise<boolean> {
      return (await call(revokeServiceKey, { serviceKeyId })).revoked;
    },
  };
}

function toMessage(scope: ServiceScope): ServiceKeyScope {
  const [value] = [...SCOPES].find(([, name]) => name === scope) ?? [];
  if (value === undefined) throw new TypeError(`${scope} is not a scope`);
  return value;
}

function readKey({ id, name, scopes, createTime, expireTime, revokeTime, lastUseTime }: ServiceKeyMessage): ServiceKey {
  const read = (time: typeof createTime) => (time ? timestampDate(time) : null);
  return {
    ...{ id, name, scopes: scopes.flatMap((scope) => SCOPES.get(scope) ?? []) },
    ...{ createdAt: read(createTime) ?? new Date(0), expiresAt: read(expireTime) },
    ...{ revokedAt: read(revokeTime), lastUsedAt: read(lastUseTime) },
  };
}
