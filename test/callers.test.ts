import { create, type DescMethodUnary, getOption } from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { Access, access } from "../gen/auth/v1/options_pb.ts";
import { TokenService } from "../gen/auth/v1/token_service_pb.ts";
import { reasonOf } from "../src/wire/error-details.ts";
import { bearer, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";

type HttpHeaders = Readonly<Record<string, string>>;

const EVERYTHING = ["introspect", "watch", "admin", "gateway"] as const;

/** Who calls, by what is presented. */
const CALLERS = {
  nobody: async () => ({}),
  "a user": async (service) => (await newSession(service)).options.headers,
  "an admin": async (service) => (await signInAdmin(service)).options.headers,
  "a user's refresh token": async (service) => bearer((await newSession(service)).refreshToken).headers,
  "a key to introspect": (service) => keyHeaders(service, "introspect"),
  "a key to watch": (service) => keyHeaders(service, "watch"),
  "a key to administer": (service) => keyHeaders(service, "admin"),
  "a gateway's key": (service) => keyHeaders(service, "gateway"),
  "an admin by a gateway": async (service) => ({
    ...(await signInAdmin(service)).options.headers,
    "x-latchkey-key": (await issueKey(service, ["gateway"])).key,
  }),
  "a user by a service that may all": async (service) => ({
    ...(await newSession(service)).options.headers,
    "x-latchkey-key": (await issueKey(service, ["introspect", "watch", "admin"])).key,
  }),
  "a user by a service with a bad key": async (service) => ({
    ...(await newSession(service)).options.headers,
    "x-latchkey-key": "lk_",
  }),
  "a key that was revoked": async (service) => {
    const { id, options } = await issueKey(service, EVERYTHING);
    const { options: byAdmin } = await signInAdmin(service);
    await service.admin.revokeServiceKey({ serviceKeyId: id }, byAdmin);
    return options.headers;
  },
  "two keys, the first to introspect": async (service) => ({
    ...(await keyHeaders(service, "introspect")),
    "x-latchkey-key": (await issueKey(service, EVERYTHING)).key,
  }),
  "a good key beside a bad one": async (service) => ({
    ...(await issueKey(service, EVERYTHING)).options.headers,
    "x-latchkey-key": "lk_",
  }),
  "a bad key beside a good one": async (service) => ({
    ...bearer("lk_").headers,
    "x-latchkey-key": (await issueKey(service, EVERYTHING)).key,
  }),
  "Basic that is no key": async () => ({ authorization: "Basic YTpi" }),
  "Basic that is no key beside a good one": async (service) => ({
    ...{ authorization: "Basic YTpi", "x-latchkey-key": (await issueKey(service, EVERYTHING)).key },
  }),
} as const satisfies Record<string, (service: TestService) => Promise<HttpHeaders>>;

type CallerName = keyof typeof CALLERS;

/** Who presents a bad key: refused by every RPC, whatever else is presented. */
const BAD_KEYS = [
  "a user by a service with a bad key",
  "a key that was revoked",
  "a good key beside a bad one",
  "a bad key beside a good one",
] as const satisfies readonly CallerName[];

type BadKey = (typeof BAD_KEYS)[number];

const INVALID = "INVALID_TOKEN";
const DENIED = "PERMISSION_DENIED";

/** Who is let through to the RPCs of each kind, and why others are not. Where nobody is asked, there is no row. */
const VERDICTS: Readonly<Partial<Record<Access, Readonly<Record<Exclude<CallerName, BadKey>, string>>>>> = {
  [Access.BEARER]: {
    ...{ nobody: INVALID, "a user": "", "an admin": "", "a user's refresh token": INVALID },
    ...{ "a key to introspect": INVALID, "a key to watch": INVALID, "a key to administer": INVALID },
    ...{ "a gateway's key": INVALID, "an admin by a gateway": "", "a user by a service that may all": "" },
    "two keys, the first to introspect": INVALID,
    ...{ "Basic that is no key": INVALID, "Basic that is no key beside a good one": INVALID },
  },
  [Access.ADMIN]: {
    ...{ nobody: INVALID, "a user": DENIED, "an admin": "", "a user's refresh token": INVALID },
    ...{ "a key to introspect": DENIED, "a key to watch": DENIED, "a key to administer": "" },
    ...{ "a gateway's key": DENIED, "an admin by a gateway": "", "a user by a service that may all": DENIED },
    "two keys, the first to introspect": DENIED,
    ...{ "Basic that is no key": INVALID, "Basic that is no key beside a good one": INVALID },
  },
  [Access.INTROSPECT]: {
    ...{ nobody: INVALID, "a user": INVALID, "an admin": INVALID, "a user's refresh token": INVALID },
    ...{ "a key to introspect": "", "a key to watch": DENIED, "a key to administer": DENIED },
    ...{ "a gateway's key": DENIED, "an admin by a gateway": DENIED, "a user by a service that may all": "" },
    "two keys, the first to introspect": "",
    ...{ "Basic that is no key": INVALID, "Basic that is no key beside a good one": INVALID },
  },
  [Access.WATCH]: {
    ...{ nobody: INVALID, "a user": INVALID, "an admin": INVALID, "a user's refresh token": INVALID },
    ...{ "a key to introspect": DENIED, "a key to watch": "", "a key to administer": DENIED },
    ...{ "a gateway's key": DENIED, "an admin by a gateway": DENIED, "a user by a service that may all": "" },
    "two keys, the first to introspect": DENIED,
    ...{ "Basic that is no key": INVALID, "Basic that is no key beside a good one": INVALID },
  },
};

const hasBadKey = (caller: CallerName): caller is BadKey => BAD_KEYS.some((name) => name === caller);

function verdictOn(rpcs: Access, caller: CallerName): string | undefined {
  const verdicts = VERDICTS[rpcs];
  return verdicts && (hasBadKey(caller) ? INVALID : verdicts[caller]);
}

describe("each RPC", () => {
  let service: TestService;
  let transports: readonly Transport[];
  before(async () => {
    service = await startService();
    const http = { baseUrl: service.httpUrl, httpVersion: "1.1" as const };
    transports = [createGrpcTransport({ baseUrl: service.grpcUrl }), createConnectTransport(http)];
  });
  after(() => service.stop());

  for (const [caller, arrange] of Object.entries(CALLERS) as [CallerName, (typeof CALLERS)[CallerName]][]) {
    it(`lets ${caller} through, or does not, as its option says`, async () => {
      const headers = await arrange(service);
      for (const transport of transports) {
        for (const rpc of unaryRpcs(service)) {
          const verdict = verdictOn(getOption(rpc, access), caller);
          if (verdict === undefined) continue;
          const reason = await reasonOfCall(transport, rpc, headers);
          // An empty request may be refused too, but not for who has sent it.
          const isForCaller = reason === INVALID || reason === DENIED;
          expect(isForCaller ? reason : "", `${rpc.name}: ${reason}`).to.equal(verdict);
        }
      }
      expect(await reasonOfWatch(service, headers), "WatchRevocations").to.equal(verdictOn(Access.WATCH, caller));
    });

    it(`asks nothing of ${caller} where anyone may call`, async () => {
      const headers: HttpHeaders = await arrange(service);
      const anyones = unaryRpcs(service).filter((rpc) => getOption(rpc, access) === Access.ANYONE);
      expect(anyones.map(({ name }) => name)).to.include.members(["SignIn", "RefreshToken", "ListSigningKeys"]);
      for (const transport of transports) {
        for (const rpc of anyones) {
          const reason = await reasonOfCall(transport, rpc, headers);
          const expected = hasBadKey(caller) ? INVALID : await reasonOfCall(transport, rpc, {});
          expect(reason, rpc.name).to.equal(expected);
        }
      }
    });
  }

  it("has an option that the table knows", () => {
    const known = [...Object.keys(VERDICTS).map(Number), Access.ANYONE, Access.OPTIONAL_BEARER];
    const methods = service.app.routes.services.flatMap(({ desc }) => desc.methods);
    expect(methods.filter((method) => !known.includes(getOption(method, access)))).to.deep.equal([]);
    const streams = methods.filter(({ methodKind }) => methodKind !== "unary");
    expect(streams).to.deep.equal([TokenService.method.watchRevocations]);
  });
});

const newSession = async (service: TestService) => signIn(service, await signUpConfirmed(service));

async function keyHeaders(service: TestService, scope: Parameters<typeof issueKey>[1][number]): Promise<HttpHeaders> {
  return (await issueKey(service, [scope])).options.headers;
}

function unaryRpcs({ app }: TestService): DescMethodUnary[] {
  const methods = app.routes.services.flatMap(({ desc }) => desc.methods);
  return methods.filter((method): method is DescMethodUnary => method.methodKind === "unary");
}

/** Why a call with an empty request was refused; "" when it was not. */
async function reasonOfCall(transport: Transport, rpc: DescMethodUnary, headers: HttpHeaders): Promise<string> {
  return reasonOfPromise(transport.unary(rpc, undefined, undefined, { ...headers }, create(rpc.input)));
}

/** The same of a stream, of which one message is read. */
async function reasonOfWatch(service: TestService, headers: HttpHeaders): Promise<string> {
  const controller = new AbortController();
  const read = async () => {
    const options = { headers: { ...headers }, signal: controller.signal };
    for await (const _ of tokenClient(service).watchRevocations({}, options)) return;
  };
  return reasonOfPromise(read()).finally(() => controller.abort());
}

async function reasonOfPromise(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "",
    (error) => reasonOf(ConnectError.from(error)) ?? String(error),
  );
}
