import { expect } from "chai";
import pg from "pg";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase, startDatabaseServer, type TestDatabase } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { waitUntil } from "./support/wait.ts";
import { revoke, startWatching, tokenClients } from "./support/watching.ts";

async function watchAll(service: TestService, from = "") {
  const { options } = await issueKey(service, ["watch"]);
  const watchers = Object.values(tokenClients(service)).map((client) => startWatching(client, options, from));
  for (const watcher of watchers) await watcher.inSync();
  return watchers;
}

describe("while PostgreSQL breaks down and recovers", () => {
  let database: Awaited<ReturnType<typeof startDatabaseServer>>;
  let services: TestService[];
  before(async () => {
    database = await startDatabaseServer();
    const first = await startService({ database });
    const { clock, mails } = first;
    services = [first, await startService({ database, clock, mails })];
  });
  after(async () => {
    for (const service of services) await service.stop();
    await database.drop();
  });

  it("streams of revocations stay open, and tell what came before and after", async () => {
    const [first, second] = services;
    if (!first || !second) throw new Error("no services");
    const person = await signUpConfirmed(first);
    const sessions = [await signIn(first, person), await signIn(first, person)];
    const watchers = [...(await watchAll(first)), ...(await watchAll(second))];
    for (let round = 0; round < 3; round++) {
      const before = await revoke(first, 2);
      await database.crash();
      const after = await revoke(first, 2);
      for (const watcher of watchers) await watcher.told(...before, ...after);
    }
    for (const { refreshToken, options } of sessions) {
      await waitUntil(async () => (await refusalOf(first.auth.signOut({ refreshToken }))) === "");
      await waitUntil(async () => (await refusalOf(second.auth.listSessions({}, options))) === "INVALID_TOKEN");
    }
    for (const watcher of watchers) await watcher.stop();
  });
});

describe("a database whose owner is no superuser", () => {
  const role = `owner_${process.pid}`;
  let database: TestDatabase;
  let owned: TestDatabase;
  before(async () => {
    database = await createTestDatabase({ migrated: false });
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'owner'`);
    await database.query(`ALTER DATABASE ${database.connection.database} OWNER TO ${role}`);
    const url = new URL(database.url);
    url.username = role;
    url.password = "owner";
    owned = { ...database, url: url.href };
  });
  after(async () => {
    await database.drop();
    const administrator = new pg.Client({ ...database.connection, database: "postgres" });
    await administrator.connect();
    await administrator.query(`DROP ROLE ${role}`);
    await administrator.end();
  });

  async function goOnElsewhere(service: TestService): Promise<string[]> {
    const known = await revoke(service);
    const [watcher] = await watchAll(service);
    await watcher?.told(...known);
    await watcher?.stop();
    const missed = await revoke(service);
    const other = await startService({ database: owned });
    const watchers = await watchAll(other, watcher?.cursor());
    for (const { told } of watchers) await told(...missed);
    const sessions = watchers.map(({ sessions }) => (sessions().includes(known[0] ?? "") ? "everything" : "the rest"));
    for (const { stop } of watchers) await stop();
    await other.stop();
    return sessions;
  }

  it("tells its history all the same, so that one can go on from a cursor at another process", async () => {
    const service = await startService({ database: owned });
    const told = await goOnElsewhere(service);
    const warned = service.lines.some((line) => line.includes("does not tell which history"));
    await service.stop();
    expect(new Set(told)).to.deep.equal(new Set(["the rest"]));
    expect(warned).to.equal(false);
  });

  it("and that hides its history is served too: everything is told again at another process", async () => {
    await database.query("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    const service = await startService({ database: owned });
    const told = await goOnElsewhere(service);
    const warned = service.lines.some((line) => line.includes("does not tell which history"));
    const watchers = await watchAll(service);
    for (const watcher of watchers) await watcher.told(...(await revoke(service)));
    await watchers[0]?.stop();
    const missed = await revoke(service);
    const [resumed] = await watchAll(service, watchers[0]?.cursor());
    await resumed?.told(...missed);
    const again = resumed?.sessions();
    for (const watcher of [...watchers, resumed]) await watcher?.stop();
    await service.stop();
    expect(new Set(told)).to.deep.equal(new Set(["everything"]));
    expect(warned).to.equal(true);
    expect(again).to.deep.equal(missed);
  });
});
