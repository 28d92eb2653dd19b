import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect } from "chai";
import { QUEUE_SCHEMA } from "../src/db/server-facts.ts";
import { runSource } from "./support/commands.ts";
import { examine, namesOf, type Settings, settingsOn } from "./support/doctor.ts";
import { newPerson } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";

const SECOND = 1_000;
const ROLE = `latchkey_test_doctor_${process.pid}`;

describe("the doctor, of the database,", () => {
  let service: TestService;
  let database: TestDatabase;
  let settings: Settings;
  before(async () => {
    service = await startService();
    database = service.database;
    settings = settingsOn(database);
    await service.auth.signUp(newPerson());
  });
  after(() => service.stop());

  /** Everything in a database, as text. */
  async function contentsOf({ query }: TestDatabase): Promise<string[]> {
    const tables = await query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
    const contents = tables.map(async ({ name }) => {
      const rows = await query<{ row: string }>(`SELECT t::text AS row FROM ${name} t ORDER BY 1`);
      return [name, ...rows.map(({ row }) => row)];
    });
    return (await Promise.all(contents)).flat();
  }

  /** Looks at the database while a statement has changed it, which another takes back. */
  async function examineAfter(change: string, undo: string) {
    await database.query(change);
    try {
      return await examine(settings);
    } finally {
      await database.query(undo);
    }
  }

  it("changes nothing in one that is in use", async () => {
    const rested = await createTestDatabase();
    const former = await startService({ database: rested });
    await former.auth.signUp(newPerson());
    await former.stop();
    const contents = await contentsOf(rested);
    expect(contents).to.include("public.keys");
    expect(namesOf(await examine(settingsOn(rested)), "failed")).to.deep.equal([]);
    expect(await contentsOf(rested)).to.deep.equal(contents);
    await rested.drop();
  });

  it("leaves an empty one empty, and says that the next start makes the tables", async () => {
    const empty = await createTestDatabase({ migrated: false });
    const found = await examine(settingsOn(empty));
    expect(await contentsOf(empty)).to.deep.equal([]);
    expect(found.migrations).to.include({ status: "warning" });
    expect(found.migrations?.finding).to.match(/^to be run: 0001-accounts,.* the queue's$/);
    expect(namesOf(found, "skipped")).to.deep.equal(["keys", "outbox"]);
    await empty.drop();
  });

  it("names the migrations that have not been run", async () => {
    const [last] = await database.query<{ name: string }>("SELECT max(name) AS name FROM schema_migrations");
    const { migrations } = await examineAfter(
      `DELETE FROM schema_migrations WHERE name = '${last?.name}'`,
      `INSERT INTO schema_migrations (name) VALUES ('${last?.name}')`,
    );
    expect(migrations).to.include({ status: "warning", finding: `to be run: ${last?.name}` });
  });

  it("tells an installation that is older than its database, and looks only at what it knows in there", async () => {
    const change = "INSERT INTO schema_migrations (name) VALUES ('9999-future')";
    const undo = "DELETE FROM schema_migrations WHERE name = '9999-future'";
    const { migrations, keys } = await examineAfter(change, undo);
    expect(migrations).to.include({ status: "failed", finding: "run by a newer version: 9999-future" });
    expect(migrations?.advice?.join()).to.include("upgrade");
    expect(keys).to.include({ status: "ok" });
    const other = await examineAfter(
      `${change}; ALTER TABLE keys RENAME wrapped TO sealed`,
      `${undo}; ALTER TABLE keys RENAME sealed TO wrapped`,
    );
    expect(other.keys).to.include({ status: "skipped", finding: "its table is of another version" });
  });

  it("knows the queue's own schema: this version's, an older, a newer, and one that is not to be worked with", async () => {
    const [queue] = await database.query<{ newest: number }>(
      "SELECT max(id) AS newest FROM graphile_worker.migrations",
    );
    expect(queue?.newest).to.equal(QUEUE_SCHEMA);
    const add = (breaking: boolean) =>
      `INSERT INTO graphile_worker.migrations (id, breaking) VALUES (${QUEUE_SCHEMA + 1}, ${breaking})`;
    const remove = `DELETE FROM graphile_worker.migrations WHERE id > ${QUEUE_SCHEMA}`;
    expect((await examineAfter(add(false), remove)).migrations).to.include({ status: "warning" });
    expect((await examineAfter(add(true), remove)).migrations).to.include({ status: "failed" });
    const older = await examineAfter(
      `DELETE FROM graphile_worker.migrations WHERE id = ${QUEUE_SCHEMA}`,
      `INSERT INTO graphile_worker.migrations (id) VALUES (${QUEUE_SCHEMA})`,
    );
    expect(older.migrations).to.include({ status: "warning", finding: "to be run: the queue's" });
  });

  it("says of one that cannot be reached where it should be, and never with which password", async () => {
    const away = { ...settings, DATABASE_URL: "postgres://latchkey:canary@127.0.0.1:1/accounts" };
    const found = await examine(away);
    const finding = "accounts at 127.0.0.1:1 cannot be used: connect ECONNREFUSED 127.0.0.1:1";
    expect(found.database).to.include({ status: "failed", finding });
    expect(namesOf(found, "skipped")).to.deep.equal(["clock", "migrations", "keys", "outbox"]);
    expect(JSON.stringify(found)).to.not.include("canary");
  });

  it("comes to an end with one that takes connections and then goes silent", async () => {
    // AuthenticationOk and ReadyForQuery, as in the protocol's chapter on message formats.
    const welcome = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);
    const server = createServer((socket) => void socket.on("error", () => {}).write(welcome)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `postgres://latchkey@127.0.0.1:${(server.address() as AddressInfo).port}/accounts`;
    const { code, stdout } = await runSource("cli.ts", ["doctor"], { env: { ...settings, DATABASE_URL: url } });
    server.close();
    expect(code).to.equal(1);
    expect(stdout).to.match(/^failed +database +accounts at 127\.0\.0\.1:\d+ cannot be used: .*timeout/m);
  });

  it("refuses another SECRET_KEY than the one that the keys were made with", async () => {
    const wrong = `${SECRET_KEY}, canary`;
    const found = await examine({ ...settings, SECRET_KEY: wrong });
    expect(namesOf(found, "failed")).to.deep.equal(["keys"]);
    expect(found.keys?.finding).to.match(/^SECRET_KEY does not open the \d in the database$/);
    expect(found.keys?.advice?.join()).to.include("Start with that key");
    expect(JSON.stringify(found)).to.not.include("canary");
  });

  it("warns of a clock that is more than 2 s off", async () => {
    const statusOf = async (ahead: number) => (await examine(settings, ahead)).clock;
    expect(await statusOf(SECOND)).to.include({ status: "ok" });
    const [ahead, behind] = [await statusOf(4 * SECOND), await statusOf(-4 * SECOND)];
    expect([ahead?.status, behind?.status]).to.deep.equal(["warning", "warning"]);
    expect(ahead?.finding).to.match(/^[34]\.\d s ahead of the database's$/);
    expect(behind?.finding).to.match(/^[34]\.\d s behind the database's$/);
    expect(await statusOf(-3_600 * SECOND)).to.include({ status: "warning" });
  });

  it("counts the connections that a process may need", async () => {
    const { database: found } = await examine({ ...settings, DATABASE_POOL_SIZE: "1000" });
    expect(found).to.include({ status: "warning" });
    expect(found?.advice?.join()).to.include("1006");
  });

  it("reports too where DATABASE_URL names a file that is not there, and repeats no password", async () => {
    const missing = "postgres://u:canary@127.0.0.1:1/db?sslmode=verify-full&sslrootcert=/no/such.pem";
    const { database: found, clock } = await examine({ ...settings, DATABASE_URL: missing });
    expect(found).to.include({ status: "failed" });
    expect(clock).to.include({ status: "skipped" });
    expect(found?.finding).to.include("/no/such.pem").and.not.to.include("canary");
  });

  it("refuses one that takes no writes", async () => {
    const name = database.connection.database;
    const { database: found } = await examineAfter(
      `ALTER DATABASE ${name} SET default_transaction_read_only = on`,
      `BEGIN READ WRITE; ALTER DATABASE ${name} RESET default_transaction_read_only; COMMIT`,
    );
    expect(found).to.include({ status: "failed" });
    expect(found?.finding).to.match(/, read-only$/);
  });

  it("names the tables that the user has no rights on, and misses the right to make them", async () => {
    const url = new URL(database.url);
    Object.assign(url, { username: ROLE, password: "canary" });
    await database.query(`CREATE ROLE ${ROLE} LOGIN PASSWORD 'canary'`);
    try {
      await database.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${ROLE}`);
      await database.query(`GRANT INSERT, UPDATE, DELETE ON keys, mails TO ${ROLE}`);
      await database.query(`GRANT USAGE ON SCHEMA graphile_worker TO ${ROLE}`);
      await database.query(`GRANT SELECT ON graphile_worker.migrations TO ${ROLE}`);
      const found = await examine({ ...settings, DATABASE_URL: url.href });
      expect(found.database).to.include({ status: "failed" });
      expect(found.database?.advice?.join()).to.include(
        "on audit_events, revocations, secret_tokens, service_keys, sessions, throttle, users.",
      );
      expect(found.migrations).to.include({ status: "ok" });
      const pending = await createTestDatabase({ migrated: false });
      url.pathname = pending.connection.database;
      const { migrations } = await examine({ ...settings, DATABASE_URL: url.href });
      expect(migrations).to.include({ status: "failed" });
      expect(migrations?.advice?.join()).to.include("GRANT CREATE");
      await pending.drop();
      expect(JSON.stringify(found)).to.not.include("canary");
    } finally {
      await database.query(`DROP OWNED BY ${ROLE}; DROP ROLE ${ROLE}`);
    }
  });
});
