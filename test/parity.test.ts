import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { type Case, type Plan, REST, type RestForm, row, type World } from "./parity-kit.ts";
import { REFUSALS } from "./parity-refusals.ts";
import { SUCCESSES } from "./parity-successes.ts";
import { holdLock } from "./support/locks.ts";
import { PASSWORD, signInAdmin } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { type Outcome, type Refused, waysIn } from "./support/ways-in.ts";

/** Code and message of each reason (api.md section 2). */
const REASONS: Readonly<Record<string, readonly [code: string, message: string]>> = {
  INVALID_ARGUMENT: ["InvalidArgument", "Invalid request"],
  EMAIL_TAKEN: ["AlreadyExists", "Account with this email already exists"],
  USERNAME_TAKEN: ["AlreadyExists", "Account with this username already exists"],
  INVALID_CREDENTIALS: ["Unauthenticated", "Incorrect username or password"],
  EMAIL_NOT_CONFIRMED: ["FailedPrecondition", "Email not confirmed"],
  USER_BLOCKED: ["PermissionDenied", "User is blocked"],
  INVALID_TOKEN: ["Unauthenticated", "Invalid or expired token"],
  PERMISSION_DENIED: ["PermissionDenied", "Permission denied"],
  USER_NOT_FOUND: ["NotFound", "User not found"],
  SESSION_NOT_FOUND: ["NotFound", "Session not found"],
  LAST_ADMIN: ["FailedPrecondition", "The last active admin cannot be blocked or demoted"],
  OVERLOADED: ["Unavailable", "Service temporarily unavailable"],
  UNAVAILABLE: ["Unavailable", "Service temporarily unavailable"],
  DEADLINE_EXCEEDED: ["DeadlineExceeded", "Deadline exceeded"],
};

describe("every protocol and the REST routes", () => {
  let world: World;
  before(async () => {
    const service = await startService();
    world = { service, admin: await signInAdmin(service) };
  });
  after(() => world.service.stop());

  describe("give the same answer to", () => {
    for (const one of SUCCESSES) {
      it(one.title, async () => {
        const outcome = await expectParity(world.service, one, () => one.arrange(world));
        expect(outcome).to.have.property("answer");
      });
    }
  });

  describe("refuse alike", () => {
    for (const one of REFUSALS) {
      it(one.title, async () => {
        await expectRefusal(world.service, one, () => one.arrange(world));
      });
    }

    it("GetMe that cannot be answered before the deadline", async () => {
      const ready = async () => ({ request: {}, token: world.admin.accessToken });
      const getMe = row("GetMe", AuthService.method.getMe, ready, { reason: "DEADLINE_EXCEEDED" });
      const lock = await holdLock(world.service, "LOCK TABLE sessions");
      await expectRefusal(world.service, getMe, ready, 50).finally(() => lock.release());
    });
  });

  it("note the same address and device of who signs in", async () => {
    const [login, password] = [world.admin.username, PASSWORD];
    const ways = waysIn(world.service);
    for (const way of Object.values(ways))
      await way.call(AuthService.method.signIn, { login, password, deviceName: "phone" });
    const body = JSON.stringify({ login, password, device_name: "phone" });
    await fetch(`${world.service.httpUrl}/sign-in`, { method: "POST", headers: JSON_TYPE, body });
    const { sessions } = await world.service.auth.listSessions({}, world.admin.options);
    const told = sessions.filter(({ current }) => !current).map(({ address, deviceName }) => [address, deviceName]);
    expect(told).to.deep.equal(Array(6).fill(["127.0.0.1", "phone"]));
    for (const way of Object.values(ways)) way.close();
  });

  it("refuse JSON members that no message has, and take those that a route does not know", async () => {
    const send = async (path: string) => {
      const body = JSON.stringify({ login: world.admin.username, password: PASSWORD, is_admin: true });
      const reply = await fetch(`${world.service.httpUrl}${path}`, { method: "POST", headers: JSON_TYPE, body });
      return { status: reply.status, body: (await reply.json()) as JsonObject };
    };
    const connect = await send("/auth.v1.AuthService/SignIn");
    expect(connect.status).to.equal(400);
    expect(connect.body).to.include({ code: "invalid_argument", message: "Invalid request" });
    expect((await send("/sign-in")).status).to.equal(200);
  });
});

describe("every protocol of a service in trouble", () => {
  let service: TestService;
  afterEach(() => service.stop());

  const ready = async () => ({ request: { login: "somebody", password: PASSWORD } });
  const signIn = (reason: string, rest: readonly RestForm[] = []) =>
    row("SignIn", AuthService.method.signIn, ready, { reason, rest });

  it("and the REST routes refuse alike, with a time to wait, while too many passwords wait to be hashed", async () => {
    service = await startService();
    const { username, id } = await signUpConfirmed(service);
    await service.database.query("UPDATE users SET password_hash = $2 WHERE id = $1", id, SLOW_HASH.replace("$13$", "$14$"));
    const crowd = new AbortController();
    let refused = 0;
    const signIns = Array.from({ length: availableParallelism() * 40 }, () =>
      fetch(...restRequest(service.httpUrl, { route: "POST /sign-in" }, { request: { username, password: PASSWORD } }, crowd.signal)).then(
        ({ status }) => status === 503 && refused++,
      ),
    );
    await waitUntil(() => refused > 0);
    const { details } = await expectRefusal(service, signIn("OVERLOADED", REST.signIn(503)), ready);
    crowd.abort();
    await Promise.allSettled(signIns);
    expect(details.at(-1)).to.have.property("type", "google.rpc.RetryInfo");
  });

  it("and the REST routes say alike that the database is away", async () => {
    const database = await createTestDatabase();
    service = await startService({ database });
    await database.drop();
    await expectRefusal(service, signIn("UNAVAILABLE", REST.signIn(503)), ready);
  });
});

const JSON_TYPE = { "content-type": "application/json" };

type Ready = () => Promise<Plan>;

async function expectRefusal(service: TestService, one: Case, ready: Ready, deadline?: number): Promise<Refused> {
  const outcome = await expectParity(service, one, ready, deadline);
  if (!("refused" in outcome)) throw new Error(`${one.title} was answered`);
  const [code, message] = REASONS[one.reason] ?? [];
  expect(outcome.refused).to.include({ code, message });
  const info = { type: "google.rpc.ErrorInfo", value: { domain: "latchkey", reason: one.reason } };
  expect(outcome.refused.details[0]).to.deep.equal(info);
  return outcome.refused;
}

/** Makes a call by every way in and gives what came of it, the same by all of them. */
async function expectParity(service: TestService, one: Case, ready: Ready, deadline?: number): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const [name, way] of Object.entries(waysIn(service))) {
    const plan = await ready();
    const headers = { ...bearer(plan), ...(deadline === undefined ? {} : way.timeout(deadline)) };
    outcomes.push(alike(await one.call(way, plan, headers)));
    way.close();
    expect(outcomes.at(-1), name).to.deep.equal(outcomes[0]);
  }
  const [outcome] = outcomes;
  if (!outcome) throw new Error("there is no way in");
  for (const form of one.rest) await expectRest(service, one, form, ready, outcome);
  return outcome;
}

async function expectRest(service: TestService, one: Case, form: RestForm, ready: Ready, outcome: Outcome) {
  const plan = await ready();
  const reply = await fetch(...restRequest(service.httpUrl, form, plan));
  const body: unknown = await reply.json();
  const shown = "answer" in outcome ? form.body(outcome.answer as JsonObject) : refusalBody(outcome.refused, one, form);
  expect(alike(body), form.route).to.deep.equal(shown);
  expect(reply.status, form.route).to.equal(form.status);
  const headers = Object.fromEntries(reply.headers);
  expect(headers).to.include({ "content-type": "application/json", "cache-control": "no-store" });
  expect(headers["www-authenticate"]).to.equal(form.status === 401 ? "Bearer" : undefined);
}

function refusalBody({ message, details }: Refused, { reason }: Case, { status, route }: RestForm): object {
  if (status !== 422) return { detail: message, code: reason };
  const [, badRequest] = details as { value: { fieldViolations?: { [name: string]: string }[] } }[];
  const detail = badRequest?.value.fieldViolations?.map(({ field, description, reason }) => ({
    loc: [route.includes(`{${field}}`) ? "path" : "body", field],
    ...{ msg: description, type: reason?.toLowerCase() },
  }));
  return { detail, code: reason };
}

/** The request of a route: what its path does not name goes into the body. */
function restRequest(url: string, { route }: RestForm, plan: Plan): [string, RequestInit] {
  const [method = "", pattern = ""] = route.split(" ");
  const members = Object.fromEntries(Object.entries(plan.request).map(([name, value]) => [snakeCase(name), value]));
  const path = pattern.replace(/\{(\w+)\}/g, (_, name: string) => String(members[name]));
  const rest = Object.entries(members).filter(([name]) => !pattern.includes(`{${name}}`));
  if (method === "GET") return [url + path, { headers: bearer(plan) }];
  const body = JSON.stringify(Object.fromEntries(rest), (_, value) =>
    typeof value === "bigint" ? String(value) : value,
  );
  return [url + path, { method, headers: { ...bearer(plan), ...JSON_TYPE }, body }];
}

function bearer({ token }: Plan): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The same value without what differs by nature: ids, times, tokens and the names of people. */
function alike<T>(value: T): T {
  const text = JSON.stringify(value, (key, inner: JsonValue) =>
    /(^id|Id|[tT]oken|Time|_at)$/.test(key) && inner ? "…" : inner,
  );
  return JSON.parse(text.replaceAll(/person\d+/g, "person"));
}
