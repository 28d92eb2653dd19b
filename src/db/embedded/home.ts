import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findServer, readIfPresent } from "./process.ts";

/** The unprivileged user that root hands the server to. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Where the server of one DATA_DIR lives. */
export interface Home {
  readonly root: string;
  /** PostgreSQL's own data folder. */
  readonly cluster: string;
  /** The watchdog's FIFO and its answers. */
  readonly run: string;
  /** The folder of the Unix socket: `run`, unless its path is too long for one. */
  readonly socket: string;
  /** Whom the server runs as; null: as ourselves. */
  readonly account: Account | null;
}

/** All the environment that the server and its helpers see. */
export const BARE_ENV = { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", TZ: "UTC" };

const SYSTEM_HOMES = "/var/lib/latchkey";
const SOCKET_PATH_LIMIT = process.platform === "darwin" ? 103 : 107;
const asRoot = () => process.geteuid?.() === 0;

/** Makes DATA_DIR where it is missing and returns its real path. */
export function makeDataDir(dataDir: string): string {
  // Root's server runs as somebody else, who has to get through.
  mkdirSync(dataDir, { recursive: true, mode: asRoot() ? 0o711 : 0o700 });
  return realpathSync(dataDir);
}

/** The data folder of the server of `dataDir`; null when none has been made yet. Changes nothing. */
export function findCluster(dataDir: string): string | null {
  if (!isThere(dataDir)) return null;
  const folder = realpathSync(dataDir);
  const aside = join(SYSTEM_HOMES, digest(folder));
  const cluster = join(recordedHome(folder) === aside ? aside : join(folder, "postgres"), "data");
  return isThere(cluster) ? cluster : null;
}

// What may not be looked at throws, and does not count as missing.
function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Decides where the server of `dataDir` (a real path) lives, and makes the folders; `programs` it must be able to use. */
export function prepareHome(dataDir: string, programs: string[], log: (message: string) => void): Home {
  const inside = join(dataDir, "postgres");
  const aside = join(SYSTEM_HOMES, digest(dataDir));
  const account = asRoot() ? (findOwner(inside) ?? findOwner(aside) ?? requireAccount()) : null;
  const root = account ? chooseRoot(dataDir, inside, aside, account, programs) : inside;
  if (!account) requireOwnData(dataDir, inside);
  for (const folder of [dirname(root), root]) makePassable(folder, account);
  if (root === aside) moveAside(dataDir, inside, aside, log);
  const run = join(root, "run");
  const socket = fitsSocket(run) ? run : account ? join(aside, "run") : join("/tmp", `latchkey-${digest(dataDir)}`);
  for (const folder of [dirname(dirname(socket)), dirname(socket)]) makePassable(folder, account);
  const home = { root, cluster: join(root, "data"), run, socket, account };
  for (const folder of new Set([run, socket])) makePrivate(folder, account);
  if (existsSync(home.cluster)) handOver(home.cluster, account);
  return home;
}

/** Whether `account` can get to all `files`; null, ourselves, is taken to. */
export function canUse(account: Account | null, files: string[]): boolean {
  if (account === null) return true;
  const probe = 'for file; do [ -x "$file" ] || [ -r "$file" ] || exit 1; done';
  const options = { env: BARE_ENV, cwd: "/", ...account };
  const { status, error } = spawnSync("/bin/sh", ["-c", probe, "sh", ...files], options);
  if (error) throw new Error(`root cannot run programs as user ${account.uid} (${error.message}): set DATABASE_URL`);
  return status === 0;
}

/** Runs a tool of the system, for what Node's own functions would do file by file. */
export function runTool(tool: string, ...args: string[]): void {
  execFileSync(tool, args, { env: BARE_ENV, cwd: "/", stdio: ["ignore", "ignore", "pipe"] });
}

// A home once chosen is kept: rights on the folders above may change, and an empty database must not replace a full one.
function chooseRoot(dataDir: string, inside: string, aside: string, account: Account, programs: string[]): string {
  if (recordedHome(dataDir) === aside) return aside;
  const cluster = join(inside, "data");
  if (existsSync(cluster)) return findServer(cluster) || canUse(account, [inside]) ? inside : aside;
  return canUse(account, [dataDir, ...programs]) ? inside : aside;
}

function moveAside(dataDir: string, inside: string, aside: string, log: (message: string) => void): void {
  const cluster = join(aside, "data");
  const recorded = recordedHome(dataDir);
  if (recorded === aside) return;
  if (!recorded && existsSync(cluster) && !findServer(cluster)) putAway(cluster, log);
  if (recorded) log(`${dataDir} was moved or copied: its database was in ${recorded}, it now has its own in ${aside}`);
  if (existsSync(join(inside, "data")) && !existsSync(cluster)) {
    const fresh = `${cluster}.new-${process.pid}`;
    runTool("cp", "-Rp", join(inside, "data"), fresh);
    renameSync(fresh, cluster);
  }
  writeFileSync(join(dataDir, "where"), `${aside}\n`);
  rmSync(inside, { recursive: true, force: true });
  log(`the server's user cannot get to ${dataDir} or to its programs: the database is in ${aside}`);
}

// Whoever removed DATA_DIR, and the key in it, wants to begin again.
function putAway(cluster: string, log: (message: string) => void): void {
  const previous = `${cluster}.previous`;
  rmSync(previous, { recursive: true, force: true });
  renameSync(cluster, previous);
  log(`DATA_DIR is new: the database of the former one is in ${previous}`);
}

function recordedHome(dataDir: string): string | null {
  return readIfPresent(join(dataDir, "where")).trim() || null;
}

function requireOwnData(dataDir: string, inside: string): void {
  const owner = existsSync(inside) ? lstatSync(inside).uid : process.geteuid?.();
  const recorded = recordedHome(dataDir);
  if (owner !== process.geteuid?.() || (recorded && !existsSync(inside))) {
    const place = recorded ?? inside;
    throw new Error(
      `the database in ${place} belongs to another user: start as that user or root, or set DATABASE_URL`,
    );
  }
}

function findOwner(root: string): Account | null {
  const cluster = join(root, "data");
  if (!existsSync(cluster)) return null;
  const { uid, gid } = lstatSync(cluster);
  return uid === 0 ? null : { uid, gid };
}

function requireAccount(): Account {
  const account = findAccount("postgres") ?? findAccount("_postgres") ?? findAccount("nobody");
  if (account) return account;
  throw new Error("PostgreSQL does not run as root, and /etc/passwd has neither postgres nor nobody: set DATABASE_URL");
}

/** Finds a user of /etc/passwd by name. */
export function findAccount(name: string): Account | null {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
  return Number(uid) > 0 ? { uid: Number(uid), gid: Number(gid) } : null;
}

// The server's user has to get through, whatever the umask says.
function makePassable(folder: string, account: Account | null): void {
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (made && account) chmodSync(folder, 0o711);
}

// Only the server's user may enter; a folder that somebody else prepared is refused.
function makePrivate(folder: string, account: Account | null): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  handOver(folder, account);
  const { uid, mode } = lstatSync(folder);
  if (!lstatSync(folder).isDirectory() || uid !== (account?.uid ?? process.geteuid?.())) {
    throw new Error(`${folder} is not a folder of the database's user: remove it, or set DATABASE_URL`);
  }
  if (mode & 0o077) chmodSync(folder, 0o700);
}

function handOver(folder: string, account: Account | null): void {
  if (!account || lstatSync(folder).uid === account.uid) return;
  if (readdirSync(folder).length === 0) lchownSync(folder, account.uid, account.gid);
  else runTool("chown", "-Rh", `${account.uid}:${account.gid}`, folder);
}

/** Removes what a start that was killed left half made; only for who has the start lock. */
export async function removeLeftovers({ root }: Home): Promise<void> {
  for (const name of readdirSync(root).filter((entry) => entry.includes(".new-"))) {
    const leftover = join(root, name);
    // The initdb of that start is perhaps just clearing up as well, which makes a single attempt stop half-way.
    for (let tries = 0; tries < 100 && existsSync(leftover); tries++) {
      rmSync(leftover, { recursive: true, force: true });
      await sleep(tries);
    }
  }
}

const fitsSocket = (folder: string) => Buffer.byteLength(join(folder, ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT;
const digest = (path: string) => createHash("sha256").update(path).digest("hex").slice(0, 12);
