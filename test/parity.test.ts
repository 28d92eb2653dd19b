import { availableParallelism } from "node:os";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { SLOW_HASH } from "./support/hashes.ts";
import { postJson } from "./support/http.ts";
import { holdLock } from "./support/locks.ts";
import { ACCOUNT_REFUSALS, ACCOUNT_SUCCESSES } from "./support/parity-account-cases.ts";
import { expectParity, expectRefusal, waysOf } from "./support/parity-checks.ts";
import { REST, type RestForm, row, type World } from "./support/parity-kit.ts";
import { REFUSALS } from "./support/parity-refusals.ts";
import { SUCCESSES } from "./support/parity-successes.ts";
import { TOKEN_REFUSALS, TOKEN_SUCCESSES } from "./support/parity-token-cases.ts";
import { PASSWORD, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";

const { getMe, signIn } = AuthService.method;

describe("every protocol and the REST routes", () => {
  let world: World;
  before(async () => {
    const service = await startService();
    world = { service, admin: await signInAdmin(service) };
  });
  after(() => world.service.stop());

  describe("give the same answer to", () => {
    for (const one of [...SUCCESSES, ...ACCOUNT_SUCCESSES, ...TOKEN_SUCCESSES]) {
      it(one.title, async () => {
        const outcome = await expectParity(world.service, one, () => one.arrange(world));
        expect(outcome).to.have.property("answer");
      });
    }
  });

  describe("refuse alike", () => {
    for (const one of [...REFUSALS, ...ACCOUNT_REFUSALS, ...TOKEN_REFUSALS]) {
      it(one.title, async () => {
        await expectRefusal(world.service, one, () => one.arrange(world));
      });
    }

    it("GetMe that cannot be answered before the deadline", async () => {
      const ready = async () => ({ request: {}, token: world.admin.accessToken });
      const late = row("GetMe", getMe, ready, { reason: "DEADLINE_EXCEEDED" });
      const lock = await holdLock(world.service, "LOCK TABLE sessions");
      await expectRefusal(world.service, late, ready, 50).finally(() => lock.release());
    });
  });

  it("note the same address and device of who signs in", async () => {
    const [login, password] = [world.admin.username, PASSWORD];
    for (const way of Object.values(waysOf(world.service)))
      await way.call(signIn, { login, password, deviceName: "phone" });
    await postJson(world.service, "/sign-in", { login, password, device_name: "phone" });
    const { sessions } = await world.service.auth.listSessions({}, world.admin.options);
    const told = sessions.filter(({ current }) => !current).map(({ address, deviceName }) => [address, deviceName]);
    expect(told).to.deep.equal(Array(6).fill(["127.0.0.1", "phone"]));
  });

  it("refuse JSON members that no message has, and pass over those that a route does not know", async () => {
    const request = { login: world.admin.username, password: PASSWORD, is_admin: true };
    const { status, body } = await postJson(world.service, "/auth.v1.AuthService/SignIn", request);
    expect(status).to.equal(400);
    expect(body).to.include({ code: "invalid_argument", message: "Invalid request" });
    expect(await postJson(world.service, "/sign-in", request)).to.include({ status: 200 });
  });
});

describe("every protocol and the REST routes of a service in trouble", () => {
  let service: TestService;
  const { random } = Math;
  afterEach(async () => {
    Math.random = random;
    await service.stop();
  });

  const ready = async () => ({ request: { login: "somebody", password: PASSWORD } });
  const refused = (reason: string, rest: readonly RestForm[]) => row("SignIn", signIn, ready, { reason, rest });

  it("refuse alike, with a time to wait, while too many passwords wait to be hashed", async () => {
    service = await startService();
    const { username, id } = await signUpConfirmed(service);
    const slow = SLOW_HASH.replace("$13$", "$14$");
    await service.database.query("UPDATE users SET password_hash = $2 WHERE id = $1", id, slow);
    const crowd = new AbortController();
    let turnedAway = 0;
    const calls = Array.from({ length: availableParallelism() * 40 }, async () => {
      const body = JSON.stringify({ username, password: PASSWORD });
      const init = { method: "POST", headers: { "content-type": "application/json" }, body, signal: crowd.signal };
      if ((await fetch(`${service.httpUrl}/sign-in`, init)).status === 503) turnedAway += 1;
    });
    await waitUntil(() => turnedAway > 0);
    // The time to wait is spread.
    Math.random = () => 0.5;
    const { details } = await expectRefusal(service, refused("OVERLOADED", REST.signIn(503)), ready);
    crowd.abort();
    await Promise.allSettled(calls);
    expect(details.at(-1)).to.have.property("type", "google.rpc.RetryInfo");
  });

  it("say alike that the database is away", async () => {
    const database = await createTestDatabase();
    service = await startService({ database });
    await database.drop();
    await expectRefusal(service, refused("UNAVAILABLE", REST.signIn(503)), ready);
  });
});
