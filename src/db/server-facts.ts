import { migrations } from "./migrations/index.ts";
import type { Scope } from "./scope.ts";

/** What a database server is, and what it allows this service. */
export interface ServerFacts {
  readonly release: string;
  readonly majorVersion: number;
  readonly encoding: string;
  /** Takes no writes: a replica, or set up to refuse them. */
  readonly isReadOnly: boolean;
  /** Connections that this user may have to this database. */
  readonly maxConnections: number;
  /** Tables of this service that this user may not both read and write. */
  readonly closedTables: readonly string[];
}

/** How far the schema is. */
export interface SchemaState {
  readonly run: readonly string[];
  readonly pending: readonly string[];
  /** Run by a newer version of this service. */
  readonly unknown: readonly string[];
  readonly queue: "missing" | "older" | "current" | "newer" | "incompatible";
  /** Whether this user may make what is pending. */
  readonly mayMigrate: boolean;
}

/** The number of the queue's schema that graphile-worker, in the version that is installed, makes. */
export const QUEUE_SCHEMA = 20;

/** Statements on the server itself, which change nothing. */
export function createServerStore({ query, models }: Scope) {
  const tables = Object.values(models).map(({ tableName }) => tableName);

  return {
    /** Milliseconds since 1970 by the server's clock. */
    async time(): Promise<number> {
      const [row] = await query<{ ms: number }>("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms");
      return row?.ms ?? Number.NaN;
    },

    async describe(): Promise<ServerFacts> {
      const [facts] = await query<ServerFacts>(
        `SELECT current_setting('server_version') AS release, current_setting('server_version_num')::int / 10000 AS "majorVersion",
           current_setting('server_encoding') AS encoding,
           pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS "isReadOnly",
           least(
             current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true), '0')::int,
             (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
             (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())) AS "maxConnections",
           ARRAY(SELECT relname::text FROM pg_class
             WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind = 'r' AND relname = ANY($1::text[])
               AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                 AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
             ORDER BY relname) AS "closedTables"`,
        tables,
      );
      if (!facts) throw new Error("the server says nothing of itself");
      return facts;
    },

    async schema(): Promise<SchemaState> {
      const [found] = await query<{ hasTables: boolean; hasQueue: boolean; mayMigrate: boolean }>(
        `SELECT to_regclass('schema_migrations') IS NOT NULL AS "hasTables",
           to_regclass('graphile_worker.migrations') IS NOT NULL AS "hasQueue",
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
             AND has_database_privilege(current_database(), 'CREATE') AS "mayMigrate"`,
      );
      const names = found?.hasTables ? await query<{ name: string }>("SELECT name FROM schema_migrations") : [];
      const run = names.map(({ name }) => name).sort();
      const known = migrations.map(({ name }) => name);
      return {
        run,
        pending: known.filter((name) => !run.includes(name)),
        unknown: run.filter((name) => !known.includes(name)),
        queue: found?.hasQueue ? await queueState() : "missing",
        mayMigrate: found?.mayMigrate ?? false,
      };
    },
  };

  async function queueState(): Promise<SchemaState["queue"]> {
    const [row] = await query<{ newest: number | null; newestBreaking: number | null }>(
      `SELECT max(id) AS newest, max(id) FILTER (WHERE breaking) AS "newestBreaking" FROM graphile_worker.migrations`,
    );
    if ((row?.newestBreaking ?? 0) > QUEUE_SCHEMA) return "incompatible";
    const newest = row?.newest ?? 0;
    return newest === QUEUE_SCHEMA ? "current" : newest > QUEUE_SCHEMA ? "newer" : "older";
  }
}
