import { runMigrations } from "graphile-worker";
import pg from "pg";
import { QueryTypes, type Sequelize, type Transaction } from "sequelize";
import { Umzug } from "umzug";
import { MIGRATION_LOCK } from "./advisory-locks.ts";
import type { Connection } from "./connection.ts";
import { openSequelize } from "./database.ts";
import { migrations } from "./migrations/index.ts";

/**
 * Brings the database to the schema of this version, and the queue's to that of its library. Processes that start at
 * once wait for each other. Gives the names of the migrations that ran.
 */
export async function migrate(connection: Connection): Promise<string[]> {
  // A migration may take its time, and so may that of another process.
  const sequelize = openSequelize(connection, { poolSize: 1, statementTimeout: 0 });
  try {
    return await sequelize.transaction(async (transaction) => {
      await sequelize.query("SELECT pg_advisory_xact_lock($1)", { bind: [MIGRATION_LOCK], transaction });
      await requireUtf8(sequelize, transaction);
      await migrateQueue(connection);
      return migrateTables(sequelize, transaction);
    });
  } finally {
    await sequelize.close();
  }
}

async function requireUtf8(sequelize: Sequelize, transaction: Transaction): Promise<void> {
  const sql = "SELECT current_setting('server_encoding') AS encoding";
  const [row] = await sequelize.query<{ encoding: string }>(sql, { type: QueryTypes.SELECT, transaction });
  if (row?.encoding !== "UTF8")
    throw new Error(`DATABASE_URL: the database is encoded in ${row?.encoding}: make it anew with ENCODING 'UTF8'`);
}

async function migrateQueue(connection: Connection): Promise<void> {
  const pgPool = new pg.Pool({ ...connection, max: 1, connectionTimeoutMillis: 5_000 });
  // Its statements fail too then, and tell.
  pgPool.on("error", () => {}).on("connect", (client) => void client.on("error", () => {}));
  try {
    await runMigrations({ pgPool });
  } finally {
    await pgPool.end();
  }
}

async function migrateTables(sequelize: Sequelize, transaction: Transaction): Promise<string[]> {
  const run = (sql: string) => sequelize.query(sql, { transaction });
  await run(
    "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
  );
  const umzug = new Umzug({
    migrations: migrations.map(({ name, sql }) => ({ name, up: () => run(sql) })),
    // In the transaction that holds the lock: a migration and its mark stand or fall together.
    storage: {
      executed: async () =>
        (
          await sequelize.query<{ name: string }>("SELECT name FROM schema_migrations", {
            type: QueryTypes.SELECT,
            transaction,
          })
        ).map(({ name }) => name),
      logMigration: async ({ name }) =>
        void (await sequelize.query("INSERT INTO schema_migrations (name) VALUES ($1)", { bind: [name], transaction })),
      unlogMigration: async ({ name }) =>
        void (await sequelize.query("DELETE FROM schema_migrations WHERE name = $1", { bind: [name], transaction })),
    },
    logger: undefined,
  });
  return (await umzug.up()).map(({ name }) => name);
}
