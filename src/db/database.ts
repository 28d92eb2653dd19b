import { ConnectionError, DatabaseError, Sequelize } from "sequelize";
import type { Clock } from "../clock.ts";
import { createAddressStore } from "./addresses.ts";
import { createAdminStore } from "./admins.ts";
import { createAuditEventStore } from "./audit-events.ts";
import type { Connection } from "./connection.ts";
import { createKeyStore } from "./keys.ts";
import { createLostConnections } from "./lost-connections.ts";
import { createMailStore } from "./mails.ts";
import { createManagedAccountStore } from "./managed-accounts.ts";
import { createOwnAccountStore } from "./own-account.ts";
import { createPurgeStore } from "./purges.ts";
import { createRevocationStore } from "./revocations.ts";
import { createScopes, type Scope } from "./scope.ts";
import { createSecretTokenStore } from "./secret-tokens.ts";
import { createServerStore } from "./server-facts.ts";
import { createServiceKeyStore } from "./service-keys.ts";
import { createSessionStore } from "./sessions.ts";
import { createThrottleStore } from "./throttle.ts";
import { createUserStore } from "./users.ts";

const createStores = (scope: Scope) => ({
  users: createUserStore(scope),
  addresses: createAddressStore(scope),
  admins: createAdminStore(scope),
  managedAccounts: createManagedAccountStore(scope),
  ownAccount: createOwnAccountStore(scope),
  sessions: createSessionStore(scope),
  secretTokens: createSecretTokenStore(scope),
  revocations: createRevocationStore(scope),
  keys: createKeyStore(scope),
  serviceKeys: createServiceKeyStore(scope),
  outbox: createMailStore(scope),
  purges: createPurgeStore(scope),
  throttle: createThrottleStore(scope),
  auditEvents: createAuditEventStore(scope),
  server: createServerStore(scope),
});

/** The tables, each behind its store. */
export type Stores = ReturnType<typeof createStores>;

/** A pool of connections; tables are reachable only through what it hands to a callback. */
export interface Database {
  /** Each statement commits by itself: for reads, and for what is one statement. */
  statement<T>(run: (stores: Stores) => Promise<T>): Promise<T>;
  /** Commits what the callback did when it returns, undoes it when it throws. */
  transaction<T>(run: (stores: Stores) => Promise<T>): Promise<T>;
  /** A transaction in which the server itself refuses to change anything. */
  readOnly<T>(run: (stores: Stores) => Promise<T>): Promise<T>;
  /** Connections in use and idle, and statements and transactions that wait for one. */
  connections(): { used: number; idle: number; waiting: number };
  /** Throws when the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** Longest wait for a connection, new or pooled. */
export const ACQUIRE_TIMEOUT = 5_000;
/** Longest wait for a statement's answer. */
const STATEMENT_TIMEOUT = 10_000;

/** Opens a pool. */
export function createDatabase(connection: Connection, poolSize: number, clock: Clock): Database {
  const sequelize = openSequelize(connection, { poolSize, statementTimeout: STATEMENT_TIMEOUT });
  const scopeOf = createScopes(sequelize, clock);
  const autocommit = createStores(scopeOf(null));
  return {
    statement: (run) => run(autocommit),
    transaction: (run) => sequelize.transaction((transaction) => run(createStores(scopeOf(transaction)))),
    readOnly: (run) =>
      sequelize.transaction(async (transaction) => {
        await sequelize.query("SET TRANSACTION READ ONLY", { transaction });
        return run(createStores(scopeOf(transaction)));
      }),
    connections: () => poolOf(sequelize),
    ping: async () => void (await sequelize.query("SELECT 1")),
    close: () => sequelize.close(),
  };
}

function poolOf(sequelize: Sequelize) {
  // The library's types do not know of it.
  const { pool } = sequelize.connectionManager as unknown as {
    pool: Record<"using" | "available" | "waiting", number>;
  };
  return { used: pool.using, idle: pool.available, waiting: pool.waiting };
}

/** Opens a pool of the library's; a `statementTimeout` of 0 waits for ever. */
export function openSequelize(
  { host, port, user, password, database, ssl }: Connection,
  { poolSize, statementTimeout }: { readonly poolSize: number; readonly statementTimeout: number },
): Sequelize {
  const { opened, isGood } = createLostConnections();
  return new Sequelize({
    dialect: "postgres",
    ...{ host, port, database, username: user, ...(password !== undefined && { password }) },
    // The last of these, like the time zone, would be a SET statement of each new connection; neither is needed.
    dialectOptions: {
      ssl,
      connectionTimeoutMillis: ACQUIRE_TIMEOUT,
      query_timeout: statementTimeout,
      application_name: "latchkey",
      clientMinMessages: "ignore",
    },
    // Spread, since the library's types do not know it.
    ...{ keepDefaultTimezone: true },
    pool: { max: poolSize, min: 0, acquire: ACQUIRE_TIMEOUT, idle: 60_000, validate: isGood },
    hooks: { afterConnect: opened },
    logging: false,
  });
}

// Classes of SQLSTATE (PostgreSQL appendix A): connection lost, no resources left, server stopping or starting.
const AWAY = /^(08|53|57P)/;

/** Whether an error says that the database cannot be reached now, rather than that a statement was wrong. */
export function isDatabaseAway(error: unknown): boolean {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof DatabaseError)) return false;
  const cause: Error & { code?: unknown } = error.original;
  if (typeof cause.code === "string" && /^E[A-Z]+$/.test(cause.code)) return true;
  return typeof cause.code === "string" ? AWAY.test(cause.code) : /connection|timeout/i.test(cause.message);
}
