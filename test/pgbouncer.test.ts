import { expect } from "chai";
import { admitted, fail, limited, wrongs } from "./support/limits.ts";
import { holdLock } from "./support/locks.ts";
import { bearer, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { type Bouncer, startBouncer } from "./support/pgbouncer.ts";
import { createTestDatabase, startDatabaseServer, type TestDatabase } from "./support/postgres.ts";
import { skipWithout } from "./support/programs.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { claimsOf, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";
import { revoke, startWatching, tokenClients } from "./support/watching.ts";

describe("behind pgbouncer in transaction mode", () => {
  let direct: TestDatabase;
  let bouncer: Bouncer | null = null;
  let services: TestService[] = [];
  let options: Awaited<ReturnType<typeof issueKey>>["options"];
  before(async function () {
    direct = await createTestDatabase({ migrated: false });
    bouncer = await startBouncer(direct);
    if (!bouncer) return skipWithout(this, "pgbouncer");
    const { database } = bouncer;
    const first = await startService({ database });
    const { clock, mails } = first;
    services = [first, await startService({ database, clock, mails })];
    ({ options } = await issueKey(first, ["watch"]));
  });
  after(async () => {
    await stopServices();
    await bouncer?.stop();
    await direct.drop();
  });

  async function stopServices(): Promise<void> {
    for (const service of services.splice(0)) await service.stop();
  }

  function bothServices(): [TestService, TestService] {
    const [first, second] = services;
    if (!first || !second) throw new Error("the services do not run");
    return [first, second];
  }

  async function watchBoth(from = "") {
    const clients = services.flatMap((service) => Object.values(tokenClients(service)));
    const watchers = clients.map((client) => startWatching(client, options, from));
    for (const watcher of watchers) await watcher.inSync();
    return watchers;
  }

  it("what is over is cleaned up, each hour too", async () => {
    const [first, second] = bothServices();
    const reports = await Promise.all([first.app.cleanUp(), second.app.cleanUp()]);
    expect(reports.map(({ failed }) => failed)).to.deep.equal([[], []]);
    const crontabs = "SELECT identifier FROM graphile_worker._private_known_crontabs";
    await waitUntil(async () => (await direct.query(crontabs)).length > 0);
    await direct.query("SELECT graphile_worker.add_job('clean-up')");
    await waitUntil(async () => (await direct.query("SELECT 1 FROM graphile_worker.jobs")).length === 0);
    const runs = [first, second].flatMap(({ lines }) => lines.filter((line) => line.includes('"cleaned up"')));
    expect(runs).to.have.length(3);
  });

  it("many people at once sign up, in, stay signed in and sign out, at either process", async () => {
    const [first, second] = bothServices();
    const people = await Promise.all(Array.from({ length: 20 }, () => signUpConfirmed(first)));
    await Promise.all(
      people.map(async (person, index) => {
        const [here, there] = index % 2 === 0 ? [first, second] : [second, first];
        const { refreshToken } = await signIn(here, person);
        let tokens = await refresh(there, refreshToken);
        tokens = await refresh(here, tokens.refreshToken);
        expect((await there.auth.getMe({}, bearer(tokens.accessToken))).user?.username).to.equal(person.username);
        await here.auth.signOut({ refreshToken: tokens.refreshToken });
        for (const service of [here, there])
          await waitUntil(
            async () =>
              (await refusalOf(service.auth.listSessions({}, bearer(tokens.accessToken)))) === "INVALID_TOKEN",
          );
        expect(await refusalOf(refresh(there, tokens.refreshToken))).to.equal("INVALID_TOKEN");
      }),
    );
  });

  it("limits hold for both processes together, and what was right is given back", async () => {
    const [{ database, clock, mails }] = bothServices();
    const config = limited({ FAILURE_DELAY: "60s" });
    const pair = [
      await startService({ config, database, clock, mails }),
      await startService({ config, database, clock, mails }),
    ] as const;
    const person = await signUpConfirmed(pair[0]);
    for (let time = 1; time <= 6; time++) await signIn(pair[0], person);
    const calls = Array.from({ length: 50 }, (_, index) => fail(pair[index % 2 === 0 ? 0 : 1], person.username));
    const reasons = (await Promise.all(calls)).flat();
    expect(admitted(reasons)).to.deep.equal(wrongs(5));
    for (const service of pair) await service.stop();
  });

  it("whoever watches revocations is told each one, late ones too, and can go on at another process", async () => {
    const [first, second] = bothServices();
    const watchers = await watchBoth();
    const insert =
      "INSERT INTO revocations (session_id, expires_at) VALUES (gen_random_uuid(), now() + interval '1 day')";
    const late = await holdLock(first, insert);
    const session = await signIn(first, await signUpConfirmed(first));
    await first.auth.signOut({ refreshToken: session.refreshToken });
    const early = [claimsOf(session).sid, ...(await revoke(second, 5))];
    for (const watcher of watchers) await watcher.told(...early);
    const cursor = watchers.at(-1)?.cursor();
    await late.release();
    const rows = await direct.query<{ id: string }>("SELECT session_id AS id FROM revocations");
    for (const watcher of watchers) await watcher.told(...rows.map(({ id }) => id));
    for (const watcher of watchers) await watcher.stop();
    for (const resumed of await watchBoth(cursor)) {
      expect(resumed.sessions()).to.have.length(1);
      await resumed.stop();
    }
  });

  it("is told what is in force in another database that takes its place while no connection breaks", async () => {
    const watchers = await watchBoth();
    const cursor = watchers[0]?.cursor();
    const other = await startDatabaseServer();
    const [{ clock, mails }] = bothServices();
    await (await startService({ database: other, clock, mails })).stop();
    const keys = await direct.query<{ row: object }>("SELECT to_json(k) AS row FROM service_keys k");
    for (const { row } of keys)
      await other.query("INSERT INTO service_keys SELECT * FROM json_populate_record(NULL::service_keys, $1)", row);
    const [id = ""] = await revoke({ database: other });
    // As of long ago: before anything that the processes have read in the first.
    await other.query("UPDATE revocations SET tx = '3'");
    bouncer?.switchTo(other);
    for (const watcher of watchers) await watcher.told(id);
    for (const watcher of watchers) await watcher.stop();
    for (const resumed of await watchBoth(cursor)) {
      expect(resumed.sessions()).to.include(id);
      await resumed.stop();
    }
    await stopServices();
    await other.drop();
  });
});
