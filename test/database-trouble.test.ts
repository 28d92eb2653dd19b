import { expect } from "chai";
import { expectHarmless } from "./support/cases.ts";
import { authorization, postJson, send } from "./support/http.ts";
import { countBlocked, holdLock } from "./support/locks.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase, startDatabaseServer } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { startDatabaseProxy } from "./support/tcp-proxy.ts";
import { passTime } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";

/** What an HTTP answer says of itself: "" when it was a success. */
const reasonIn = ({ status, text }: { readonly status: number; readonly text: string }): string =>
  status < 300 ? "" : status === 503 || text.includes('"unavailable"') ? "UNAVAILABLE" : `${status} ${text}`;

/** Signs up over gRPC, Connect JSON and REST in turn; gives the refusal. */
async function signUp(service: TestService, person: ReturnType<typeof newPerson>, turn: number): Promise<string> {
  if (turn % 3 === 0) return refusalOf(service.auth.signUp(person));
  const path = turn % 3 === 1 ? "/auth.v1.AuthService/SignUp" : "/api/auth/signup";
  return reasonIn(await postJson(service, path, person));
}

/** Asks who one is, by each of them; gives the refusals. */
async function whoAmI(service: TestService, accessToken: string): Promise<string[]> {
  const headers = authorization(accessToken);
  return Promise.all([
    refusalOf(service.auth.getMe({}, { headers })),
    postJson(service, "/auth.v1.AuthService/GetMe", {}, headers).then(reasonIn),
    send(service, "/auth/me", { headers }).then(reasonIn),
  ]);
}

const WELL = ["", "", ""];
const AWAY = Array(3).fill("UNAVAILABLE");

describe("a database that is restarted under load", () => {
  it("is missed as UNAVAILABLE, comes back by itself, and has all that was acknowledged", async () => {
    const database = await startDatabaseServer();
    const service = await startService({ database });
    const acknowledged: string[] = [];
    const refusals = new Set<string>();
    let stopped = false;
    const load = Array.from({ length: 6 }, async (_, turn) => {
      while (!stopped) {
        const person = newPerson();
        const refusal = await signUp(service, person, turn);
        if (refusal === "") acknowledged.push(person.email);
        refusals.add(refusal);
      }
    });
    for (let round = 0; round < 2; round++) {
      const before = acknowledged.length;
      await waitUntil(() => acknowledged.length > before + 10, 30_000);
      await database.crash();
    }
    const before = acknowledged.length;
    await waitUntil(() => acknowledged.length > before + 10, 30_000);
    stopped = true;
    await Promise.all(load);
    expect(refusals).to.deep.equal(new Set(["", "UNAVAILABLE"]));
    const stored = await database.query<{ email: string }>("SELECT email FROM users");
    expect(stored.map(({ email }) => email)).to.include.members(acknowledged);
    // After this long the queue takes the jobs of workers that were lost for free.
    await passTime(service, 30_000);
    await waitUntil(() => acknowledged.every((email) => service.mails.some(({ to }) => to === email)), 30_000);
    await service.stop();
    await database.drop();
  });
});

describe("a database that is slow", () => {
  it("is given up after ten seconds as UNAVAILABLE, and holds up nobody afterwards", async () => {
    const service = await startService({ config: { databasePoolSize: 3 } });
    const person = await signUpConfirmed(service);
    const { accessToken } = await signIn(service, person);
    await expectHarmless(service, { unrecorded: "what the service is at fault for stands in its log" }, async () => {
      const lock = await holdLock(service, "LOCK TABLE sessions");
      // The first three have a connection each, and the others wait for one.
      const told = await Promise.all([whoAmI(service, accessToken), whoAmI(service, accessToken)]);
      expect(told).to.deep.equal([AWAY, AWAY]);
      await lock.release();
      expect(await whoAmI(service, accessToken)).to.deep.equal(WELL);
      return told;
    });
    await service.stop();
  });
});

describe("a database whose connections are lost in silence", () => {
  it("is missed as UNAVAILABLE once, and has new connections for whoever comes next", async () => {
    const database = await createTestDatabase();
    const { proxy, url } = await startDatabaseProxy(database.connection);
    const service = await startService({ database: { ...database, url }, config: { databasePoolSize: 10 } });
    const person = await signUpConfirmed(service);
    const { accessToken } = await signIn(service, person);
    const lock = await holdLock(service, "LOCK TABLE sessions");
    const calls = Array.from({ length: 3 }, () => whoAmI(service, accessToken));
    await waitUntil(async () => (await countBlocked(service)) === 9);
    await lock.release();
    expect(await Promise.all(calls)).to.deep.equal(Array(3).fill(WELL));
    proxy.lose();
    expect(await refusalOf(signIn(service, person))).to.equal("UNAVAILABLE");
    expect(await refusalOf(signIn(service, person))).to.equal("");
    await service.stop();
    await proxy.stop();
    await database.drop();
  });
});

describe("a database that takes no more connections", () => {
  const role = `limited_${process.pid}`;

  it("is UNAVAILABLE to whom it has none for, and comes back by itself", async () => {
    // Its owner must be no superuser: limits are not for those.
    const database = await createTestDatabase({ migrated: false });
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'limited'`);
    await database.query(`ALTER DATABASE ${database.connection.database} OWNER TO ${role}`);
    const url = Object.assign(new URL(database.url), { username: role, password: "limited" }).href;
    const service = await startService({ database: { ...database, url } });
    const person = await signUpConfirmed(service);
    const { accessToken } = await signIn(service, person);
    const limit = (count: number) => database.query(`ALTER ROLE ${role} CONNECTION LIMIT ${count}`);

    await limit(1);
    const crowd = async () => {
      const calls = Array.from({ length: 10 }, () => whoAmI(service, accessToken));
      return (await Promise.all(calls)).flat();
    };
    expect(await crowd()).to.satisfy((told: string[]) => told.every((one) => ["", "UNAVAILABLE"].includes(one)));
    await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role);
    await limit(0);
    expect(new Set(await crowd())).to.deep.equal(new Set(["UNAVAILABLE"]));
    expect(await signUp(service, newPerson(), 0)).to.equal("UNAVAILABLE");
    expect(await refusalOf(service.auth.signIn({ login: person.email, password: PASSWORD }))).to.equal("UNAVAILABLE");
    await limit(-1);
    await waitUntil(async () => (await crowd()).every((one) => one === ""));
    expect(await signUp(service, newPerson(), 0)).to.equal("");
    await service.stop();
    await database.query(`REASSIGN OWNED BY ${role} TO CURRENT_USER`);
    await database.query(`DROP OWNED BY ${role}`);
    await database.query(`DROP ROLE ${role}`);
    await database.drop();
  });
});
