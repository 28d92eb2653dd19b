import { type Clock, now } from "../clock.ts";
import type { Config } from "../config.ts";
import { type Connection, parseConnection } from "../db/connection.ts";
import { createDatabase, type Database } from "../db/database.ts";
import { findCluster } from "../db/embedded/home.ts";
import { joinEmbedded } from "../db/embedded/join.ts";
import type { ServerFacts } from "../db/server-facts.ts";
import { CONCURRENCY } from "../jobs/queue.ts";
import type { Secret } from "../secret.ts";
import { failed, firstLine, ok, type Verdict, warning } from "./check.ts";

/** A database that answered, and the quickest of a few round trips to it. */
export interface OpenDatabase {
  readonly db: Database;
  readonly connection: Connection;
  readonly facts: ServerFacts;
  readonly roundTripMs: number;
  /** How far the server's clock is ahead of this process's, give or take half the round trip. */
  readonly aheadMs: number;
}

const CONNECTIONS = 2;
const ROUND_TRIPS = 5;

/** Opens the database as the service would; null when it is the embedded one and nobody has made it yet. */
export async function openDatabase(
  config: Config,
  clock: Clock,
  resources: AsyncDisposableStack,
): Promise<OpenDatabase | null> {
  const connection = await openConnection(config, resources);
  if (!connection) return null;
  const db = createDatabase(connection, CONNECTIONS, clock);
  resources.defer(() => db.close());
  return db.readOnly(async ({ server }) => {
    const facts = await server.describe();
    const trips: { roundTripMs: number; aheadMs: number }[] = [];
    for (let trip = 0; trip < ROUND_TRIPS; trip++) {
      const begunAt = now(clock);
      const start = performance.now();
      const time = await server.time();
      const roundTripMs = performance.now() - start;
      trips.push({ roundTripMs, aheadMs: time - (begunAt + roundTripMs / 2) });
    }
    const [quickest = { roundTripMs: 0, aheadMs: 0 }] = trips.sort((a, b) => a.roundTripMs - b.roundTripMs);
    return { db, connection, facts, ...quickest };
  });
}

async function openConnection(config: Config, resources: AsyncDisposableStack): Promise<Connection | null> {
  if (config.databaseUrl) return parseConnection(config.databaseUrl.reveal());
  if (findCluster(config.dataDir) === null) return null;
  const server = await joinEmbedded(config.dataDir);
  resources.defer(() => server.release({ wait: true }));
  return server.connection;
}

/** Judges a database that could not be opened. */
export function judgeAbsence(error: unknown, { databaseUrl }: Config): Verdict {
  if (!databaseUrl)
    return failed(`the embedded one does not start: ${firstLine(error)}`, "Mend that, or set DATABASE_URL.");
  const { password } = new URL(databaseUrl.reveal());
  // A server may repeat what it was sent.
  const why = firstLine(error).replaceAll(decodeURIComponent(password) || "\0", "[redacted]");
  return failed(
    `${placeOf(databaseUrl)} cannot be used: ${why}`,
    "Check host, port, user, password, database and files of DATABASE_URL, and that PostgreSQL runs and may be reached from here.",
  );
}

// What stands in a wrong place of the URL may be the password.
function placeOf(databaseUrl: Secret): string {
  try {
    const { host, port, database } = parseConnection(databaseUrl.reveal());
    return /^[\w.-]+$/.test(database) ? `${database} at ${host}:${port}` : "it";
  } catch {
    return "it";
  }
}

const OLDEST_MAJOR = 14;

/** Judges a database that answered. */
export function judgeDatabase({ facts, connection, roundTripMs }: OpenDatabase, config: Config): Verdict {
  const { release, majorVersion, encoding, isReadOnly, maxConnections, closedTables } = facts;
  const place = config.databaseUrl ? `${connection.database} at ${connection.host}:${connection.port}` : "embedded";
  const finding = `${place}: PostgreSQL ${release}, ${encoding}, ${roundTripMs.toFixed(1)} ms away, ${maxConnections} connections`;
  // Beside the pool and the queue, the poll of revocations and the writing of refusals have one each.
  const needed = config.databasePoolSize + CONCURRENCY + 2;
  if (majorVersion < OLDEST_MAJOR) return failed(finding, `PostgreSQL ${OLDEST_MAJOR} is the oldest that will do.`);
  if (encoding !== "UTF8")
    return failed(finding, "Make the database anew with ENCODING 'UTF8': names would not fit in.");
  if (isReadOnly)
    return failed(
      `${finding}, read-only`,
      "Point DATABASE_URL at the primary: this server, or this user, takes no writes.",
    );
  if (closedTables.length > 0)
    return failed(finding, `GRANT SELECT, INSERT, UPDATE, DELETE to this user on ${closedTables.join(", ")}.`);
  if (maxConnections < needed)
    return warning(finding, `One process opens up to ${needed}: lower DATABASE_POOL_SIZE, or allow more.`);
  return ok(finding);
}
