import { expect } from "chai";
import type { CleanUpReport } from "../src/jobs/clean-up.ts";
import { runSource } from "./support/commands.ts";
import { startPair } from "./support/pair.ts";
import { signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { allStatementsOf } from "./support/statements.ts";
import { passTime } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";

const HOUR = 3_600_000;

/** Puts in sessions of one account, of which the first so many were over long ago. */
async function fillSessions(database: TestDatabase, over: number, live = 0): Promise<void> {
  await database.query(
    `WITH u AS (
       INSERT INTO users (username, username_key, email, email_key, email_confirmed_at)
       VALUES ('filler', 'filler', 'filler@x.io', 'filler@x.io', now()) RETURNING id)
     INSERT INTO sessions (user_id, rotates, idle_expires_at, expires_at, access_expires_at, ended_at, end_reason)
     SELECT id, true, now(), now() + interval '1 d', now(), CASE WHEN n <= $1 THEN now() - interval '91 d' END,
       CASE WHEN n <= $1 THEN 'signed_out' END
     FROM u, generate_series(1, $1::int + $2::int) n`,
    over,
    live,
  );
}

/** Puts in accounts with a token and a mail each, of which the first so many were abandoned. */
async function fillAccounts(database: TestDatabase, over: number, live: number): Promise<void> {
  await database.query(
    `WITH u AS (
       INSERT INTO users (username, username_key, email, email_key, created_at)
       SELECT 'u' || n, 'u' || n, 'u' || n || '@x.io', 'u' || n || '@x.io', CASE WHEN n <= $1 THEN now() - interval '8 d' ELSE now() END
       FROM generate_series(1, $1::int + $2::int) n RETURNING id, email),
     t AS (
       INSERT INTO secret_tokens (user_id, purpose, email, expires_at)
       SELECT id, 'confirm_email', email, now() - interval '1 h' FROM u RETURNING id, user_id, email)
     INSERT INTO mails (user_id, template, recipient, secret_token_id, state, give_up_at)
     SELECT user_id, 'confirm-email', email, id, 'sent', now() FROM t`,
    over,
    live,
  );
}

const countSessions = async (database: TestDatabase): Promise<number> => {
  const [row] = await database.query<{ count: number }>("SELECT count(*)::int AS count FROM sessions");
  return row?.count ?? 0;
};

/** Every run that a log tells of. */
function runsIn({ lines }: Pick<TestService, "lines">): CleanUpReport[] {
  return lines.filter((line) => line.includes('"cleaned up"')).map((line) => JSON.parse(line));
}

describe("a run of the clean-up", () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.drop());

  it("deletes 1,000 rows at a time, each time in a transaction of its own, until a batch is short", async () => {
    const service = await startService({ database });
    await fillSessions(database, 10_500, 10);
    const statements = await allStatementsOf(async () => {
      expect((await service.app.cleanUp()).deleted.sessions).to.equal(10_500);
    });
    expect(statements.filter((text) => text.includes("DELETE FROM sessions"))).to.have.length(11);
    expect(statements.filter((text) => text.startsWith("COMMIT"))).to.have.length.at.least(11);
    expect(await countSessions(database)).to.equal(10);
    await service.stop();
  });

  it("by two processes at once deletes everything once", async () => {
    const { first, second, stop } = await startPair();
    await fillSessions(first.database, 10_500, 10);
    await fillAccounts(first.database, 2_500, 10);
    const reports = await Promise.all([first.app.cleanUp(), second.app.cleanUp()]);
    expect(reports.map(({ failed }) => failed)).to.deep.equal([[], []]);
    const sum = (table: "sessions" | "users") => reports.reduce((total, { deleted }) => total + deleted[table], 0);
    expect([sum("sessions"), sum("users")]).to.deep.equal([10_500, 2_500]);
    expect(await countSessions(first.database)).to.equal(10);
    await stop();
  });

  it("reads no large table from end to end, not for what goes with a row either", async () => {
    await fillSessions(database, 2_500, 30_000);
    await fillAccounts(database, 2_500, 20_000);
    await database.query("ANALYZE");
    const large = "relname IN ('users', 'sessions', 'secret_tokens', 'mails')";
    const scans = async () =>
      (
        await database.query<{ scans: number; deleted: number }>(
          `SELECT sum(seq_scan)::int AS scans, sum(n_tup_del)::int AS deleted FROM pg_stat_user_tables WHERE ${large}`,
        )
      )[0];
    const before = (await scans())?.scans;
    const service = await startService({ database });
    const statements = await allStatementsOf(() => service.app.cleanUp());
    // A connection tells the statistics what it did when it ends, at the latest.
    await service.stop();
    await waitUntil(async () => (await scans())?.deleted === 4 * 2_500);
    expect((await scans())?.scans).to.equal(before);
    const purges = statements.filter(
      (text) => /t\.ctid/.test(text) && !/FROM (keys|service_keys|revocations) /.test(text),
    );
    expect(new Set(purges)).to.have.property("size").at.least(6);
    for (const text of new Set(purges)) {
      const values = text.includes("$1") ? [["(0,1)", "(1,1)"]] : [];
      const plan = await database.query<{ "QUERY PLAN": string }>(`EXPLAIN ${text}`, ...values);
      const lines = plan.map((row) => row["QUERY PLAN"]).join("\n");
      expect(lines, text).to.not.match(/Seq Scan on (users|sessions|secret_tokens|mails)/);
    }
  });

  it("leaves a sign-in HOT: no index grows", async () => {
    const service = await startService({ database });
    const person = await signUpConfirmed(service);
    for (let turn = 0; turn < 50; turn++) await signIn(service, person);
    await service.stop();
    const updates = async () =>
      (
        await database.query<{ all: number; hot: number }>(
          `SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'users'`,
        )
      )[0] ?? { all: 0, hot: 0 };
    await waitUntil(async () => (await updates()).all >= 51);
    expect((await updates()).hot).to.be.at.least(49);
  });

  it("ends after its batch when the process stops, and the next one goes on", async () => {
    const service = await startService({ database });
    await fillSessions(database, 20_000);
    const run = service.app.cleanUp();
    await waitUntil(async () => (await countSessions(database)) < 20_000);
    await service.app.close();
    const { deleted, failed } = await run;
    expect(failed).to.deep.equal([]);
    expect(deleted.sessions).to.be.within(1_000, 19_000);
    expect(await countSessions(database)).to.equal(20_000 - deleted.sessions);
    await service.stop();
    const next = await startService({ database });
    expect((await next.app.cleanUp()).deleted.sessions).to.equal(20_000 - deleted.sessions);
    await next.stop();
  });

  it("is one run, however many ask for it in a process meanwhile", async () => {
    const service = await startService({ database });
    const reports = await Promise.all([service.app.cleanUp(), service.app.cleanUp()]);
    expect(reports[0]).to.equal(reports[1]);
    expect(runsIn(service)).to.have.length(1);
    await service.stop();
  });

  it("tells the log how much of what was deleted, and how long it took", async () => {
    const service = await startService({ database });
    await fillSessions(database, 3);
    await service.app.cleanUp();
    const [run] = runsIn(service);
    expect(run?.deleted).to.include({ sessions: 3, users: 0, mails: 0 });
    expect(run?.failed).to.deep.equal([]);
    expect(run?.ms).to.be.a("number");
    await service.stop();
  });

  it("goes on with the other tables when one cannot be cleaned up", async () => {
    const service = await startService({ database });
    await fillSessions(database, 3);
    await fillAccounts(database, 3, 0);
    await database.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
       CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION refuse()`,
    );
    const { deleted, failed } = await service.app.cleanUp();
    expect(failed).to.deep.equal(["users"]);
    expect(deleted).to.include({ users: 0, sessions: 3 });
    expect(service.lines.filter((line) => line.includes("a table cannot be cleaned up"))).to.have.length(1);
    await service.stop();
  });

  it("is the operator's command too, in words or as JSON, and says by its exit code that a table is left", async () => {
    await fillSessions(database, 3);
    const env = { DATABASE_URL: database.url, SECRET_KEY };
    const words = await runSource("cli.ts", ["clean-up"], { env });
    expect([words.code, words.stderr]).to.deep.equal([0, ""]);
    expect(words.stdout).to.match(/^TABLE +DELETED\nusers +0\nsessions +3\n/);
    await database.query("ALTER TABLE mails RENAME TO letters");
    const json = await runSource("cli.ts", ["clean-up", "--json"], { env });
    const { deleted, failed, ms }: CleanUpReport = JSON.parse(json.stdout);
    expect([json.code, deleted.sessions, failed]).to.deep.equal([1, 0, ["mails"]]);
    expect(ms).to.be.a("number");
  });
});

describe("the hourly clean-up", () => {
  it("is made up for at a start, by one process, when all were away", async () => {
    const database = await createTestDatabase();
    const first = await startService({ database });
    const known = async () =>
      (
        await database.query<{ ran: boolean }>(
          "SELECT last_execution IS NOT NULL AS ran FROM graphile_worker._private_known_crontabs",
        )
      )[0]?.ran;
    await waitUntil(async () => (await known()) === false);
    await first.stop();
    await fillSessions(database, 3);
    await passTime({ clock: first.clock, database }, 2 * HOUR);
    const services = await Promise.all([startService({ database }), startService({ database })]);
    const runs = () => services.flatMap(runsIn);
    await waitUntil(() => runs().length > 0);
    await waitUntil(async () => (await database.query("SELECT 1 FROM graphile_worker.jobs")).length === 0);
    expect(runs().map(({ deleted }) => deleted.sessions)).to.deep.equal([3]);
    for (const service of services) await service.stop();
    await database.drop();
  });

  it("may take longer than a mail: only jobs of who left a mail undone are given back", async () => {
    const database = await createTestDatabase();
    for (const [task, owner] of [
      ["clean-up", "busy"],
      ["clean-up", "killed"],
      ["send-mail", "killed"],
    ]) {
      await database.query(
        "SELECT graphile_worker.add_job($1, json_build_object('id', 0), run_at := now() + interval '1 d')",
        task,
      );
      await database.query(
        `UPDATE graphile_worker._private_jobs SET locked_by = $1, locked_at = now() - interval '1 min' WHERE locked_by IS NULL`,
        owner,
      );
    }
    const service = await startService({ database });
    const locked = await database.query(
      "SELECT task_identifier, locked_by FROM graphile_worker.jobs WHERE locked_by IS NOT NULL",
    );
    expect(locked).to.deep.equal([{ task_identifier: "clean-up", locked_by: "busy" }]);
    await service.stop();
    await database.drop();
  });
});
