import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { type Connection, parseConnection } from "../../src/db/connection.ts";
import { joinEmbedded } from "../../src/db/embedded/join.ts";
import { migrate } from "../../src/db/migrate.ts";
import { waitUntil } from "./wait.ts";

/** A database of its own for one test file. */
export interface TestDatabase {
  readonly url: string;
  readonly connection: Connection;
  /** Runs SQL beside the service. */
  query<Row extends object>(sql: string, ...values: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/** Where databases are made: told by the process that mocha began in to those that run the files. */
interface Server {
  readonly connection: Connection;
  /** A migrated, empty database. */
  readonly template: string;
}

const SERVER = "LATCHKEY_TEST_SERVER";
const PREFIX = `latchkey_test_${process.pid}`;
let admin: pg.Pool | undefined;
let databases = 0;
let stop = async () => {};

/** Starts the server before the first file is run. */
export async function mochaGlobalSetup(): Promise<void> {
  const { connection, release } = await findServer();
  const template = `${PREFIX}_template`;
  await administer(connection, `CREATE DATABASE ${template}`);
  await migrate({ ...connection, database: template });
  stop = async () => {
    await administer(connection, `DROP DATABASE ${template}`);
    await admin?.end();
    await release();
  };
  process.env[SERVER] = JSON.stringify({ connection, template } satisfies Server);
}

/** Ends the server when all files have been run. */
export async function mochaGlobalTeardown(): Promise<void> {
  await stop();
}

async function administer(connection: Connection, statement: string): Promise<void> {
  // Each process that runs files has a pool of its own, and ends whether or not it is closed.
  admin ??= new pg.Pool({ ...connection, max: 2, allowExitOnIdle: true }).on("error", () => {});
  await admin.query(statement);
}

async function findServer(): Promise<{ connection: Connection; release: () => Promise<void> }> {
  const url = process.env.DATABASE_URL;
  if (url) return { connection: parseConnection(url), release: async () => {} };
  return startEmbedded();
}

async function startEmbedded(): Promise<{ connection: Connection; release: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
  // Root's server runs as somebody else, who has to get through.
  chmodSync(folder, 0o711);
  const embedded = await joinEmbedded(folder);
  const release = async () => {
    await embedded.release({ wait: true });
    rmSync(folder, { recursive: true });
  };
  return { connection: embedded.connection, release };
}

/** Makes a migrated, empty database; `migrated: false` leaves the migration out. */
export async function createTestDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const { connection: base, template }: Server = JSON.parse(process.env[SERVER] ?? "{}");
  const name = `${PREFIX}_${++databases}`;
  await administer(base, `CREATE DATABASE ${name} TEMPLATE ${migrated ? template : "template0"}`);
  return openDatabase({ ...base, database: name }, () => administer(base, `DROP DATABASE ${name} WITH (FORCE)`));
}

/** Starts a server of its own, with one empty database: for tests that break the server. */
export async function startDatabaseServer(): Promise<TestDatabase & { crash(): Promise<void> }> {
  const { connection, release } = await startEmbedded();
  const database = openDatabase(connection, release);
  return {
    ...database,
    /** Kills a process of the server, upon which it ends all others, recovers and goes on. */
    async crash() {
      const [victim] = await database.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      process.kill(victim?.pid ?? 0, "SIGKILL");
      const isBack = () =>
        database.query("SELECT 1").then(
          () => true,
          () => false,
        );
      await waitUntil(isBack, 30_000);
    },
  };
}

function openDatabase(connection: Connection, drop: () => Promise<void>): TestDatabase {
  const pool = new pg.Pool({ ...connection, max: 4 });
  pool.on("error", () => {});
  return {
    url: toUrl(connection),
    connection,
    query: async (sql, ...values) => (await pool.query(sql, values)).rows,
    async drop() {
      await pool.end();
      await drop();
    },
  };
}

function toUrl({ host, port, user, password, database }: Connection): string {
  const login = password === undefined ? user : `${user}:${encodeURIComponent(password)}`;
  return `postgres://${login}@localhost/${database}?host=${encodeURIComponent(host)}&port=${port}`;
}
