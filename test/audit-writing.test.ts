import { expect } from "chai";
import pg from "pg";
import { createAuditBacklog } from "../src/auth/audit-backlog.ts";
import { recordedBy, type Told } from "./support/audit.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { bearer, newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { startProcess } from "./support/process.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { skipMonotonic } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";

const WRONG = "quite another password";

/** What stands in the table: type and reason of each event, oldest first, and how many it is for. */
async function stored(
  { query }: Pick<TestDatabase, "query">,
  type: string,
): Promise<[reason: string, count: number][]> {
  const sql = "SELECT coalesce(reason, '') AS reason, count FROM audit_events WHERE type = $1 ORDER BY id";
  const rows = await query<{ reason: string; count: number }>(sql, type);
  return rows.map(({ reason, count }) => [reason, count]);
}

describe("what was refused", () => {
  let service: TestService;
  let options: { headers: Record<string, string> };
  before(async () => {
    service = await startService();
    ({ options } = await issueKey(service, ["admin"]));
  });
  after(() => service.stop());

  const refuseToken = () => refusalOf(service.auth.getMe({}, bearer("junk")));
  const refusePassword = (login: string) => refusalOf(service.auth.signIn({ login, password: WRONG }));

  it("is answered at once though nothing can be written, and is written with its own time when it can be", async () => {
    const { username: login, id: userId } = await signUpConfirmed(service);
    const session = await signIn(service, { username: login, password: PASSWORD });
    const events = await recordedBy(service, options, async () => {
      const lock = await holdLock(service, "LOCK audit_events IN SHARE MODE");
      expect(await refusePassword(login)).to.equal("INVALID_CREDENTIALS");
      await untilBlocked(service);
      expect(await refusePassword(newPerson().username)).to.equal("INVALID_CREDENTIALS");
      expect(await refuseToken()).to.equal("INVALID_TOKEN");
      expect((await service.auth.getMe({}, session.options)).user?.id).to.equal(userId);
      expect(service.app.auditCounts().waiting).to.equal(3);
      await lock.release();
    });
    expect(events.map((event: Told) => [event.reason, event.userId])).to.deep.equal([
      ["INVALID_CREDENTIALS", userId],
      ["INVALID_CREDENTIALS", undefined],
      ["INVALID_TOKEN", undefined],
    ]);
    expect(service.app.auditCounts()).to.include({ waiting: 0, lost: 0 });
  });

  it("has the time at which it was refused, not that at which it was written", async () => {
    const { followToken: pageToken } = await service.admin.listAuditEvents({ pageSize: 1 }, options);
    const lock = await holdLock(service, "LOCK audit_events IN SHARE MODE");
    await refuseToken();
    await untilBlocked(service);
    await refuseToken();
    const goBack = skipMonotonic(5_000);
    await lock.release();
    try {
      const { events } = await service.admin.listAuditEvents({ pageToken }, options);
      const ages = events.map(({ createTime }) => Date.now() / 1000 - Number(createTime?.seconds ?? 0));
      expect(ages).to.have.length(2);
      expect(ages[1]).to.be.at.least(4.5);
    } finally {
      goBack();
    }
  });

  it("waits while the database is away, fails no call, and is written when it is back", async () => {
    const { database, connection } = { database: service.database, connection: service.database.connection };
    const administrator = new pg.Client({ ...connection, database: "postgres" });
    await administrator.connect();
    const name = connection.database;
    const before = await stored(database, "token_refused");
    try {
      await administrator.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
      await administrator.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [name]);
      expect(await refuseToken()).to.equal("INVALID_TOKEN");
      await waitUntil(() => service.lines.some((line) => line.includes("audit events cannot be written now")));
      expect(await refuseToken()).to.equal("INVALID_TOKEN");
      expect(service.app.auditCounts()).to.include({ waiting: 2, lost: 0 });
    } finally {
      await administrator.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
      await administrator.end();
    }
    await waitUntil(() => service.app.auditCounts().waiting === 0);
    const events = (await stored(database, "token_refused")).slice(before.length);
    expect(events).to.deep.equal([
      ["INVALID_TOKEN", 1],
      ["INVALID_TOKEN", 1],
    ]);
  });

  it("is lost where the database refuses it, and the log says how many", async () => {
    const before = service.app.auditCounts().lost;
    await service.database.query("ALTER TABLE audit_events RENAME TO gone");
    try {
      await refuseToken();
      await waitUntil(() => service.app.auditCounts().lost === before + 1);
    } finally {
      await service.database.query("ALTER TABLE gone RENAME TO audit_events");
    }
    const line = service.lines.find((text) => text.includes("audit events were lost"));
    expect(JSON.parse(line ?? "{}")).to.include({ level: "error", count: 1 });
  });
});

describe("a flood of refusals", () => {
  it("is summed up beyond the first of a kind, each one counted, and hides nothing of another kind", async () => {
    const service = await startService();
    try {
      const { username: login, id } = await signUpConfirmed(service);
      const { options } = await issueKey(service, ["admin"]);
      const flood = (size: number) =>
        Promise.all(Array.from({ length: size }, () => refusalOf(service.auth.getMe({}, bearer("junk")))));
      const events = await recordedBy(service, options, async () => {
        await flood(200);
        await refusalOf(service.auth.signIn({ login, password: WRONG }));
        await flood(200);
      });
      const refused = events.filter(({ type }) => type === "token_refused");
      const counts = refused.map(({ count = 1 }) => count);
      expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(400);
      const single = refused.filter(({ actor }) => actor === "anyone");
      expect(single).to.have.length.within(100, 150);
      expect(service.app.auditCounts()).to.include({ summed: 400 - single.length, lost: 0, waiting: 0 });
      const sums = refused.filter(({ actor }) => actor === "several");
      for (const sum of sums) expect(sum).to.have.all.keys("type", "reason", "actor", "count");
      expect(events.filter(({ userId }) => userId === id)).to.have.length(1);
    } finally {
      await service.stop();
    }
  });

  it("of wrong passwords is kept singly, in a backlog that is bounded and forgets none", () => {
    const backlog = createAuditBacklog();
    const note = { type: "sign_in_failed", reason: "INVALID_CREDENTIALS", actor: "anyone", address: "" } as const;
    for (let turn = 0; turn < 25_000; turn++) backlog.add({ ...note, userId: turn });
    expect([backlog.count(), backlog.summed()]).to.deep.equal([25_000, 15_000]);
    const first = backlog.take(500);
    backlog.giveBack(first);
    const taken = Array.from({ length: 21 }, () => backlog.take(500)).flat();
    expect(taken.map(({ event }) => event.userId)).to.deep.equal([...Array(10_000).keys(), null]);
    expect(taken.at(-1)?.event).to.deep.include({ actor: "several", count: 15_000 });
    expect(backlog.count()).to.equal(0);
    backlog.giveBack(taken.slice(-1));
    backlog.giveBack(taken.slice(-1));
    expect(backlog.take(500).map(({ event }) => event.count)).to.deep.equal([30_000]);
  });
});

describe("a process that ends", () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.drop());

  it("writes before what it has refused, and so does another one beside it", async () => {
    const processes = await Promise.all([startProcess(database), startProcess(database)]);
    const codes = processes.map(async ({ auth, stop }) => {
      expect(await refusalOf(auth.getMe({}, bearer("junk")))).to.equal("INVALID_TOKEN");
      return stop("SIGTERM");
    });
    expect(await Promise.all(codes)).to.deep.equal([0, 0]);
    expect(await stored(database, "token_refused")).to.deep.equal([
      ["INVALID_TOKEN", 1],
      ["INVALID_TOKEN", 1],
    ]);
  });
});
