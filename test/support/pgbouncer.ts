import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Surroundings, start } from "./commands.ts";
import type { TestDatabase } from "./postgres.ts";
import { findProgram } from "./programs.ts";
import { waitUntil } from "./wait.ts";

/** A pgbouncer in transaction mode, before a database. */
export interface Bouncer {
  /** The database, as programs see it that do not know of the pgbouncer. */
  readonly database: TestDatabase;
  /** Puts another database behind it, while its clients stay connected. */
  switchTo(database: TestDatabase): void;
  stop(): Promise<void>;
}

/** Connections to the server that all clients of the pgbouncer share. */
const POOL_SIZE = 4;
const PORT = 6432;

/** Starts a pgbouncer; null where there is none. */
export async function startBouncer(database: TestDatabase): Promise<Bouncer | null> {
  const program = findProgram("pgbouncer");
  if (!program) return null;
  const folder = mkdtempSync(join(tmpdir(), "latchkey-bouncer-"));
  chmodSync(folder, 0o777);
  const file = join(folder, "pgbouncer.ini");
  const configure = (behind: TestDatabase) => writeFileSync(file, configurationOf(behind, folder));
  configure(database);
  const { child, written, outcome } = start(program, [file], serverAccount(database));
  await waitUntil(() => written.stderr.includes("process up"));
  return {
    database: { ...database, url: `postgres://latchkey@localhost/latchkey?host=${folder}&port=${PORT}` },
    switchTo(other) {
      configure(other);
      child.kill("SIGHUP");
    },
    async stop() {
      child.kill("SIGTERM");
      await outcome;
      rmSync(folder, { recursive: true });
    },
  };
}

function configurationOf({ connection }: TestDatabase, folder: string): string {
  const { host, port, user, password, database } = connection;
  const server = { host, port, user, dbname: database, ...(password !== undefined && { password }) };
  const settings = Object.entries(server).map(([name, value]) => `${name}='${String(value).replaceAll("'", "''")}'`);
  return `[databases]
latchkey = ${settings.join(" ")}
[pgbouncer]
pool_mode = transaction
default_pool_size = ${POOL_SIZE}
auth_type = any
listen_port = ${PORT}
unix_socket_dir = ${folder}
`;
}

// It refuses to run as root; whoever PostgreSQL runs as can reach its socket.
function serverAccount({ connection: { host } }: TestDatabase): Surroundings {
  if (process.getuid?.() !== 0) return {};
  const { uid, gid } = host.startsWith("/") ? statSync(host) : NOBODY;
  return { account: { uid, gid } };
}

const NOBODY = { uid: 65534, gid: 65534 };
