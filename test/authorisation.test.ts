import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AdminService } from "../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { Access, access } from "../gen/auth/v1/options_pb.ts";
import { ServiceKeyScope } from "../gen/auth/v1/service_key_pb.ts";
import { SignOutScope } from "../gen/auth/v1/session_pb.ts";
import { TokenService } from "../gen/auth/v1/token_service_pb.ts";
import { createService } from "../src/rpc/routes.ts";
import { startServer } from "../src/server/server.ts";
import { expectHarmless } from "./support/cases.ts";
import { postJson } from "./support/http.ts";
import {
  bearer,
  newPerson,
  PASSWORD,
  readMail,
  refusalOf,
  signIn,
  signInAdmin,
  signUpConfirmed,
} from "./support/people.ts";
import { errorOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { refresh } from "./support/tokens.ts";
import { Feed } from "./support/wire-kit.ts";

const BAD_HEADERS = ["Bearer", "Bearer x.y.z", "Basic YTpi", "", "Bearer a b", "bearer \u00e9"];

const STATUSES: Readonly<Record<string, number>> = { INVALID_TOKEN: 401, PERMISSION_DENIED: 403 };

type Options = { readonly headers?: Record<string, string> };

describe("authorisation", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const demoteInDatabase = (id: bigint) => service.database.query("UPDATE users SET roles = '{}' WHERE id = $1", id);
  const blockInDatabase = (id: bigint) =>
    service.database.query("UPDATE users SET is_active = false WHERE id = $1", id);

  /** A call of every RPC of AdminService that would change the account or tell of it, or delete the other one. */
  function adminCalls(
    admin: Client<typeof AdminService>,
    userId: bigint,
    deleted: bigint,
    options: Options,
  ): Record<string, Promise<unknown>> {
    const calls: { [K in keyof typeof AdminService.method]: Promise<unknown> } = {
      getUser: admin.getUser({ userId }, options),
      listUsers: admin.listUsers({}, options),
      createUser: admin.createUser({ ...newPerson(), roles: ["admin"], emailConfirmed: true }, options),
      setUserActive: admin.setUserActive({ userId, isActive: false }, options),
      setUserRoles: admin.setUserRoles({ userId, roles: ["admin"] }, options),
      revokeUserSessions: admin.revokeUserSessions({ userId }, options),
      deleteUser: admin.deleteUser({ userId: deleted }, options),
      createServiceKey: admin.createServiceKey(
        { name: newPerson().username, scopes: [ServiceKeyScope.ADMIN] },
        options,
      ),
      listServiceKeys: admin.listServiceKeys({}, options),
      revokeServiceKey: admin.revokeServiceKey({ serviceKeyId: "none" }, options),
      listAuditEvents: admin.listAuditEvents({}, options),
    };
    return calls;
  }

  async function refusals(calls: Record<string, Promise<unknown>>): Promise<Record<string, string>> {
    const entries = Object.entries(calls).map(async ([name, call]) => [name, await refusalOf(call)] as const);
    return Object.fromEntries(await Promise.all(entries));
  }

  const allAnswer = (reason: string) =>
    Object.fromEntries(Object.keys(AdminService.method).map((name) => [name, reason]));

  it("is declared for every RPC", () => {
    const methods: DescMethod[] = service.app.routes.services.flatMap(({ desc }) => desc.methods);
    expect(methods).to.include.members([...AuthService.methods, ...AdminService.methods, ...TokenService.methods]);
    for (const method of methods) expect(getOption(method, access), method.name).not.to.equal(Access.UNSPECIFIED);
    for (const method of AdminService.methods) expect(getOption(method, access), method.name).to.equal(Access.ADMIN);
  });

  it("is refused to an RPC that declares nothing", async () => {
    const { routes } = service.app;
    async function* watch() {
      yield { value: "secret" };
    }
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const server = await startServer({
      routes: { ...routes, services: [createService(Feed, { watch })] },
      ...{ gateway: async () => {}, isReady: async () => true, host: "127.0.0.1", grpcPort: 0, httpPort: 0, log },
    });
    try {
      const feed = createClient(Feed, createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.grpcPort}` }));
      const { options } = await signInAdmin(service);
      const read = async () => {
        for await (const { value } of feed.watch({}, options)) expect.fail(value);
      };
      expect(await refusalOf(read())).to.equal("PERMISSION_DENIED");
    } finally {
      await server.close();
    }
  });

  it("lets no RPC of admins be called by nobody, by users, or by who is an admin no more", async () => {
    const [target, spare] = [await signUpConfirmed(service), await signUpConfirmed(service)];
    const root = await signInAdmin(service);
    const user = await signIn(service, await signUpConfirmed(service));
    const [blocked, demoted] = [await signInAdmin(service), await signInAdmin(service)];
    const [blockedElsewhere, demotedElsewhere] = [await signInAdmin(service), await signInAdmin(service)];
    await service.admin.setUserActive({ userId: blocked.id, isActive: false }, root.options);
    await service.admin.setUserRoles({ userId: demoted.id, roles: [] }, root.options);
    // As the database looks in the moment before this process has heard of what another one did.
    await blockInDatabase(blockedElsewhere.id);
    await demoteInDatabase(demotedElsewhere.id);

    const callers: [string, Options, string][] = [
      ["nobody", {}, "INVALID_TOKEN"],
      ...BAD_HEADERS.map((authorization): [string, Options, string] => [
        authorization,
        { headers: { authorization } },
        "INVALID_TOKEN",
      ]),
      ["a refresh token", bearer(root.refreshToken), "INVALID_TOKEN"],
      ["a user", user.options, "PERMISSION_DENIED"],
      ["a blocked admin", blocked.options, "INVALID_TOKEN"],
      ["a demoted admin", demoted.options, "INVALID_TOKEN"],
      ["an admin blocked elsewhere", blockedElsewhere.options, "PERMISSION_DENIED"],
      ["an admin demoted elsewhere", demotedElsewhere.options, "PERMISSION_DENIED"],
    ];
    const tries = 2 * Object.keys(AdminService.method).length + 1;
    const recorded = {
      "service_key_refused INVALID_TOKEN": tries,
      "token_refused INVALID_TOKEN": tries * (callers.filter(([, , reason]) => reason === "INVALID_TOKEN").length - 1),
      "permission_denied PERMISSION_DENIED": 3 * tries,
    };
    await expectHarmless(service, { recorded }, async () => {
      const answers: unknown[] = [];
      for (const [who, options, reason] of callers) {
        for (const [name, admin] of Object.entries(adminClients(service))) {
          const calls = adminCalls(admin, target.id, spare.id, options);
          expect(await refusals(calls), `${who}, ${name}`).to.deep.equal(allAnswer(reason));
          answers.push(...(await Promise.all(Object.values(calls).map(errorOf))));
        }
        const path = `/api/auth/block_user/${target.id}`;
        const blocking = await postJson(service, path, { is_active: false }, options.headers);
        expect([blocking.status, blocking.body.code], who).to.deep.equal([STATUSES[reason], reason]);
        answers.push(blocking);
      }
      return answers;
    });
    const { options } = await signInAdmin(service);
    expect(await refusals(adminCalls(service.admin, target.id, spare.id, options))).to.deep.equal(allAnswer(""));
  });

  it("lets no RPC of a signed-in person be called without a valid access token", async () => {
    const { auth } = service;
    const { refreshToken } = await signIn(service, await signUpConfirmed(service));
    const headers = [...BAD_HEADERS, `Bearer ${refreshToken}`].map((authorization) => ({
      headers: { authorization },
    }));
    for (const options of [{}, ...headers]) {
      const calls = [
        ...[auth.getMe({}, options), auth.listSessions({}, options), auth.revokeSession({}, options)],
        ...[auth.updateMe({}, options), auth.changePassword({}, options)],
      ];
      expect(await Promise.all(calls.map(refusalOf)), JSON.stringify(options)).to.deep.equal(
        Array(5).fill("INVALID_TOKEN"),
      );
    }
  });

  it("shows and ends nobody else's sessions", async () => {
    const [ada, bob] = [await signUpConfirmed(service), await signUpConfirmed(service)];
    const [hers, his] = [await signIn(service, ada), await signIn(service, bob)];
    const { session } = await service.auth.getMe({}, hers.options);
    const sessionId = session?.id ?? "";
    const seen = (await service.auth.listSessions({}, his.options)).sessions;
    expect(seen.map(({ id }) => id)).not.to.include(sessionId);
    expect(await refusalOf(service.auth.revokeSession({ sessionId }, his.options))).to.equal("SESSION_NOT_FOUND");
    const admin = await signInAdmin(service);
    expect(await refusalOf(service.auth.revokeSession({ sessionId }, admin.options))).to.equal("SESSION_NOT_FOUND");
    expect(await refusalOf(service.auth.getMe({}, hers.options))).to.equal("");
  });

  it("is not looked at by an RPC that anyone may call", async () => {
    const { auth } = service;
    for (const authorization of BAD_HEADERS) {
      const options = { headers: { authorization } };
      const person = newPerson();
      expect(await refusalOf(auth.signUp(person, options))).to.equal("");
      const { token } = await readMail(service, person.email);
      expect(await refusalOf(auth.requestEmailConfirmation({ email: person.email }, options))).to.equal("");
      expect(await refusalOf(auth.confirmEmail({ token }, options))).to.equal("");
      const { tokens } = await auth.signIn({ login: person.email, password: PASSWORD }, options);
      expect(await refusalOf(auth.refreshToken({ refreshToken: tokens?.refreshToken ?? "" }, options))).to.equal("");
      expect(await refusalOf(auth.requestPasswordReset({ email: person.email }, options))).to.equal("");
    }
  });

  it("counts as none at SignOut when it is bad", async () => {
    for (const authorization of BAD_HEADERS) {
      const options = { headers: { authorization } };
      for (const scope of [SignOutScope.SESSION, SignOutScope.OTHERS, SignOutScope.ALL]) {
        expect((await service.auth.signOut({ scope }, options)).signedOut, authorization).to.equal(false);
      }
      const { refreshToken } = await signIn(service, await signUpConfirmed(service));
      expect((await service.auth.signOut({ refreshToken }, options)).signedOut, authorization).to.equal(true);
    }
  });

  it("comes at SignOut after the refresh token, be that good or bad", async () => {
    const person = await signUpConfirmed(service);
    const [first, second] = [await signIn(service, person), await signIn(service, person)];
    expect((await service.auth.signOut({ refreshToken: "bad" }, first.options)).signedOut).to.equal(false);
    expect((await service.auth.signOut({ refreshToken: second.refreshToken }, first.options)).signedOut).to.equal(true);
    expect(await refusalOf(refresh(service, second.refreshToken))).to.equal("INVALID_TOKEN");
    expect(await refusalOf(service.auth.getMe({}, first.options))).to.equal("");
  });
});

function adminClients({ admin, httpUrl: baseUrl }: TestService): Readonly<Record<string, Client<typeof AdminService>>> {
  const http = createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false });
  return { gRPC: admin, "Connect JSON": createClient(AdminService, http) };
}
