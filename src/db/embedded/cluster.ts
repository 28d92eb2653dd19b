import { once } from "node:events";
import { closeSync, fsyncSync, lchownSync, mkdtempSync, openSync, renameSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { findAccount, type Home } from "./home.ts";
import { isServer } from "./process.ts";
import { spawnWatched } from "./watchdog.ts";

const NAME = "latchkey";
const CONNECT_MS = 60_000;

/** How clients reach the server of `home`. */
export function connectionTo(home: Home) {
  return { host: home.socket, port: 5432, user: NAME, database: NAME };
}

/** The command line of the server of `home`. */
export function serverCommand(home: Home, native: string): string[] {
  const settings = {
    listen_addresses: "",
    unix_socket_directories: `"${home.socket.replaceAll('"', '""')}"`,
    max_connections: 200,
    shared_buffers: "64MB",
    log_checkpoints: "off",
    // A container's /dev/shm is too small for parallel queries, and ours have no use for them.
    max_parallel_workers_per_gather: 0,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return [join(native, "bin/postgres"), "-D", home.cluster, "-p", "5432", ...flags];
}

/** Makes the data folder of `home`, whole or not at all. */
export async function createCluster(home: Home, native: string): Promise<void> {
  const fresh = mkdtempSync(`${home.cluster}.new-`);
  if (home.account) lchownSync(fresh, home.account.uid, home.account.gid);
  const locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
  const options = ["-D", fresh, "-U", NAME, "--auth=trust", "--data-checksums", "--no-instructions", ...locale];
  const command = [...identity(home), join(native, "bin/initdb"), ...options];
  // Our end of its stdin is what initdb's watchdog watches: it ends with us.
  const child = spawnWatched(command, home.run, home.account);
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text) => output.push(text));
  child.stdin?.on("error", () => {});
  const [status] = await once(child, "close");
  if (status !== 0) throw new Error(`initdb failed with status ${status}:\n${lastLines(output.join(""))}`);
  renameSync(fresh, home.cluster);
  syncFolder(home.root);
}

// initdb alone insists on a name for its user. One without a line in /etc/passwd borrows nobody's, in a namespace.
function identity(home: Home): string[] {
  if (home.account || process.platform !== "linux") return [];
  try {
    userInfo();
    return [];
  } catch {
    return ["unshare", "--user", `--map-user=${findAccount("nobody")?.uid ?? 65534}`, "--"];
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  fsyncSync(handle);
  closeSync(handle);
}

/** Waits until server `pid` takes connections, its database made where it is missing; false when it ends instead. */
export async function isAccepting(home: Home, pid: number): Promise<boolean> {
  const deadline = Date.now() + CONNECT_MS;
  for (;;) {
    const failure = await tryDatabase(home);
    if (failure === null) return true;
    if (!isServer(pid, home.cluster)) return false;
    if (Date.now() > deadline)
      throw new Error(`PostgreSQL (pid ${pid}) takes no connection in ${home.socket}: ${failure}`);
    await sleep(15);
  }
}

async function tryDatabase(home: Home): Promise<string | null> {
  try {
    await runIn(home, NAME, "select 1").catch((error) => {
      if (error.code !== "3D000") throw error;
      return runIn(home, "postgres", `create database ${NAME}`);
    });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

async function runIn(home: Home, database: string, statement: string): Promise<void> {
  const client = new pg.Client({ ...connectionTo(home), database, ssl: false, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query(statement);
  } finally {
    await client.end().catch(() => {});
  }
}

/** The end of a program's output, for an error message. */
export function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-12).join("\n");
}
