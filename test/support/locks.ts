import pg from "pg";
import type { TestDatabase } from "./postgres.ts";
import { waitUntil } from "./wait.ts";

/** A transaction beside the service that holds a lock. */
export interface Lock {
  query(sql: string, ...values: unknown[]): Promise<void>;
  /** Commits, which lets go. */
  release(): Promise<void>;
}

/** Takes a lock by a statement and holds it until it is released. */
export async function holdLock({ database }: { readonly database: TestDatabase }, sql: string): Promise<Lock> {
  const client = new pg.Client(database.connection);
  await client.connect();
  await client.query("BEGIN");
  await client.query(sql);
  return {
    query: async (statement, ...values) => void (await client.query(statement, values)),
    async release() {
      await client.query("COMMIT");
      await client.end();
    },
  };
}

/** Resolves when statements of the service wait for a lock. */
export async function untilBlocked(service: { readonly database: TestDatabase }, count = 1): Promise<void> {
  await waitUntil(async () => (await countBlocked(service)) >= count);
}

/** How many statements of the service wait for a lock. */
export async function countBlocked({ database }: { readonly database: TestDatabase }): Promise<number> {
  const rows = await database.query(
    `SELECT 1 FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'latchkey' AND wait_event_type = 'Lock'`,
  );
  return rows.length;
}
