import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { createClock } from "../../src/clock.ts";
import { type Connection, parseConnection } from "../../src/db/connection.ts";
import { createDatabase } from "../../src/db/database.ts";
import { joinEmbedded } from "../../src/db/embedded.ts";
import { migrate } from "../../src/db/migrate.ts";

/** A database of its own for one test file. */
export interface TestDatabase {
  readonly url: string;
  readonly connection: Connection;
  /** Runs SQL beside the service. */
  query<Row extends object>(sql: string, ...values: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

interface Server {
  readonly admin: pg.Pool;
  readonly connection: Connection;
  readonly template: string;
  stop(): Promise<void>;
}

const PREFIX = `latchkey_test_${process.pid}`;
let server: Promise<Server> | undefined;
let databases = 0;

async function startServer(): Promise<Server> {
  const { connection, release } = await findServer();
  const admin = new pg.Pool({ ...connection, max: 2 });
  // The server may end its connections while they are being closed.
  admin.on("error", () => {});
  const template = `${PREFIX}_template`;
  await admin.query(`CREATE DATABASE ${template}`);
  const database = createDatabase({ ...connection, database: template }, 4, createClock());
  await migrate(database.sequelize, { ...connection, database: template });
  await database.close();
  const stop = async () => {
    await admin.query(`DROP DATABASE ${template}`);
    await admin.end();
    await release();
  };
  return { admin, connection, template, stop };
}

async function findServer(): Promise<{ connection: Connection; release: () => Promise<void> }> {
  const url = process.env.DATABASE_URL;
  if (url) return { connection: parseConnection(url), release: async () => {} };
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

/** Makes a migrated, empty database; `migrated: false` leaves the migration out. The first call starts the server. */
export async function createTestDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  server ??= startServer();
  const { admin, connection: base, template } = await server;
  const name = `${PREFIX}_${++databases}`;
  await admin.query(`CREATE DATABASE ${name} TEMPLATE ${migrated ? template : "template0"}`);
  const connection = { ...base, database: name };
  const pool = new pg.Pool({ ...connection, max: 4 });
  pool.on("error", () => {});
  return {
    url: toUrl(connection),
    connection,
    query: async (sql, ...values) => (await pool.query(sql, values)).rows,
    async drop() {
      await pool.end();
      await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

function toUrl({ host, port, user, password, database }: Connection): string {
  const login = password === undefined ? user : `${user}:${encodeURIComponent(password)}`;
  return `postgres://${login}@localhost/${database}?host=${encodeURIComponent(host)}&port=${port}`;
}

/** Ends the server when all tests have run. */
export async function mochaGlobalTeardown(): Promise<void> {
  await (await server)?.stop();
}
