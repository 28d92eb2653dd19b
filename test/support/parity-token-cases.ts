import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { ServiceKeyScope } from "../../gen/auth/v1/service_key_pb.ts";
import { TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import type { ServiceScope } from "../../src/db/service-keys.ts";
import { type Case, REST, row, signedIn, type World } from "./parity-kit.ts";
import { newPerson } from "./people.ts";
import { issueKey } from "./service-keys.ts";

const { createServiceKey, listServiceKeys, revokeServiceKey, listUsers } = AdminService.method;
const { introspectToken, listSigningKeys } = TokenService.method;

const byAdmin =
  <Request>(ask: () => Request) =>
  async ({ admin }: World) => ({ request: ask(), token: admin.accessToken });

/** A call by a service with a fresh key that has these scopes. */
const byService =
  <Request>(scopes: readonly ServiceScope[], ask: (world: World) => Promise<Request>) =>
  async (world: World) => ({ request: await ask(world), token: (await issueKey(world.service, scopes)).key });

// Where a number of the service would be its own each time, a name of the tests is the same each time.
const newKey = () => ({ name: newPerson().username, scopes: [ServiceKeyScope.WATCH, ServiceKeyScope.INTROSPECT] });
const accessToken = async (world: World) => ({ token: (await signedIn(world)).accessToken });
const FAULTY = { reason: "INVALID_ARGUMENT" } as const;

/** Calls about tokens and service keys that succeed. */
export const TOKEN_SUCCESSES: readonly Case[] = [
  row("IntrospectToken of a good token", introspectToken, byService(["introspect"], accessToken)),
  row(
    "IntrospectToken of an ended session",
    introspectToken,
    byService(["introspect"], async (world) => {
      const { accessToken: token, refreshToken } = await signedIn(world);
      await world.service.auth.signOut({ refreshToken });
      return { token };
    }),
  ),
  row(
    "IntrospectToken of junk",
    introspectToken,
    byService(["introspect"], async () => ({ token: "junk" })),
  ),
  row("ListSigningKeys", listSigningKeys, async () => ({ request: {} })),
  row(
    "CreateServiceKey that ends",
    createServiceKey,
    byAdmin(() => ({ ...newKey(), expireTime: timestampFromMs(Date.now() + 60_000) })),
  ),
  row("CreateServiceKey that does not end", createServiceKey, byAdmin(newKey)),
  row(
    "ListServiceKeys",
    listServiceKeys,
    byAdmin(() => ({})),
  ),
  row("RevokeServiceKey", revokeServiceKey, async ({ service, admin }) => {
    const { id: serviceKeyId } = await issueKey(service, ["gateway"]);
    return { request: { serviceKeyId }, token: admin.accessToken };
  }),
  row(
    "RevokeServiceKey of no key",
    revokeServiceKey,
    byAdmin(() => ({ serviceKeyId: "\0" })),
  ),
  row(
    "ListUsers by a service",
    listUsers,
    byService(["admin"], async ({ admin }) => ({ prefix: admin.username })),
  ),
];

/** The same that the rules refuse. */
export const TOKEN_REFUSALS: readonly Case[] = [
  row(
    "CreateServiceKey with every field at fault",
    createServiceKey,
    byAdmin(() => ({ name: "a b", scopes: [99 as ServiceKeyScope], expireTime: timestampFromMs(1) })),
    FAULTY,
  ),
  row(
    "CreateServiceKey of nothing",
    createServiceKey,
    byAdmin(() => ({})),
    FAULTY,
  ),
  row(
    "CreateServiceKey by a name that is taken",
    createServiceKey,
    async ({ service, admin }) => {
      const request = newKey();
      await service.admin.createServiceKey(request, admin.options);
      return { request, token: admin.accessToken };
    },
    FAULTY,
  ),
  row(
    "CreateServiceKey by a service that may not",
    createServiceKey,
    byService(["watch"], async () => newKey()),
    {
      reason: "PERMISSION_DENIED",
    },
  ),
  row("IntrospectToken without a key", introspectToken, async (world) => ({ request: await accessToken(world) }), {
    reason: "INVALID_TOKEN",
  }),
  row("IntrospectToken by a service that may not", introspectToken, byService(["admin"], accessToken), {
    reason: "PERMISSION_DENIED",
  }),
  row(
    "IntrospectToken by a key that was revoked",
    introspectToken,
    async (world) => {
      const { id: serviceKeyId, key: token } = await issueKey(world.service, ["introspect"]);
      await world.service.admin.revokeServiceKey({ serviceKeyId }, world.admin.options);
      return { request: await accessToken(world), token };
    },
    { reason: "INVALID_TOKEN" },
  ),
  row(
    "GetMe with a service key",
    AuthService.method.getMe,
    byService(["admin"], async () => ({})),
    {
      ...{ reason: "INVALID_TOKEN", rest: REST.me(401) },
    },
  ),
];
