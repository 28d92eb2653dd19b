import { closeSync, constants, existsSync, fchownSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { prepareBinaries, programsIn, requirePackagedBinaries } from "./binaries.ts";
import { connectionTo, createCluster, isAccepting, lastLines, serverCommand } from "./cluster.ts";
import { type Home, makeDataDir, prepareHome, removeLeftovers } from "./home.ts";
import { tryStartLock, withStartLock } from "./lock.ts";
import { findServer, isServer, pidFileIn, removeStaleNotes } from "./process.ts";
import { askWatchdog, isHeld, openHold, startWatchdog, type Task } from "./watchdog.ts";

/** A hold on the embedded PostgreSQL of a DATA_DIR, which runs as long as any process has one. */
export interface EmbeddedServer {
  /** Connection settings for `pg` and Sequelize; the host is the folder of the Unix socket. */
  readonly connection: { host: string; port: number; user: string; database: string };
  /** The same as a DATABASE_URL. */
  readonly url: string;
  /** Lets go; with `wait`, and if nobody else holds on, comes back when the server has ended. */
  release(options?: { wait?: boolean }): Promise<void>;
}

type Log = (message: string) => void;
type Attempt = { packaged: string; last: boolean; log: Log };

const START_MS = 60_000;
const STOP_MS = 30_000;
const STARTS = 4;
const LOG_BYTES = 5_000_000;

/** Starts the embedded PostgreSQL of `dataDir`, or joins the one that runs. */
export async function joinEmbedded(dataDir: string, { log = () => {} }: { log?: Log } = {}): Promise<EmbeddedServer> {
  const packaged = requirePackagedBinaries();
  const folder = makeDataDir(dataDir);
  return withStartLock(folder, async () => {
    const home = prepareHome(folder, programsIn(packaged), log);
    const deadline = Date.now() + START_MS;
    for (let starts = 0; Date.now() < deadline; await sleep(20)) {
      const running = (await joinRunning(home, folder)) ?? (await adoptOrphan(home, folder));
      if (running) return running;
      if (findServer(home.cluster)) continue;
      const server = await startServer(home, folder, { packaged, last: ++starts === STARTS, log });
      if (server) return server;
    }
    throw new Error(`the server in ${home.root} does not come up: see ${logIn(home)}`);
  });
}

async function joinRunning(home: Home, dataDir: string): Promise<EmbeddedServer | null> {
  const hold = openHold(home.run);
  return hold === null ? null : admit(home, dataDir, hold);
}

async function adoptOrphan(home: Home, dataDir: string): Promise<EmbeddedServer | null> {
  const server = findServer(home.cluster);
  if (server === null || server.stopping) return null;
  const hold = await watch(home, { adopt: server.pid, pidFile: pidFileIn(home.cluster) });
  return admit(home, dataDir, hold);
}

async function startServer(home: Home, dataDir: string, { packaged, last, log }: Attempt) {
  const began = performance.now();
  await removeLeftovers(home);
  const native = prepareBinaries(home, packaged);
  if (!existsSync(home.cluster)) await createCluster(home, native);
  removeStaleNotes(home.cluster, home.socket);
  const logged = rotateLog(home);
  const hold = await watch(home, { start: serverCommand(home, native) });
  const server = await admit(home, dataDir, hold);
  if (server) log(`started PostgreSQL in ${home.root} in ${Math.round(performance.now() - began)} ms`);
  else if (last) requireRetryable(readFileSync(logIn(home)).subarray(logged).toString());
  return server;
}

// A server on its way out, or its last backends, can be in the way of a new one for as long as they take.
function requireRetryable(output: string): void {
  if (/lock file .* already exists|shared memory block/.test(output)) return;
  throw new Error(`PostgreSQL did not start:\n${lastLines(output)}`);
}

async function watch(home: Home, task: Task): Promise<number> {
  const log = openLog(home);
  try {
    return await startWatchdog(home.run, task, log, home.account);
  } finally {
    closeSync(log);
  }
}

async function admit(home: Home, dataDir: string, hold: number): Promise<EmbeddedServer | null> {
  let admitted = false;
  try {
    const pid = await askWatchdog(home.run, hold);
    admitted = pid !== null && isServer(pid, home.cluster) && (await isAccepting(home, pid));
    return admitted && pid ? embeddedServer(home, dataDir, hold, pid) : null;
  } finally {
    if (!admitted) closeSync(hold);
  }
}

function embeddedServer(home: Home, dataDir: string, hold: number, pid: number): EmbeddedServer {
  const connection = connectionTo(home);
  const { host, port, user, database } = connection;
  let held = true;
  return {
    connection,
    url: `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`,
    async release({ wait = false } = {}) {
      if (held) closeSync(hold);
      held = false;
      if (wait) await awaitEnd(home, dataDir, pid);
    },
  };
}

async function awaitEnd(home: Home, dataDir: string, pid: number): Promise<void> {
  const deadline = Date.now() + STOP_MS;
  while (isServer(pid, home.cluster)) {
    const unlock = await tryStartLock(dataDir);
    const held = unlock !== null && isHeld(home.run);
    await unlock?.();
    if (held) return;
    if (Date.now() > deadline) throw new Error(`PostgreSQL (pid ${pid}) does not end: see ${logIn(home)}`);
    await sleep(20);
  }
}

/** Puts a long log aside and returns the length of the one that goes on. */
function rotateLog(home: Home): number {
  const path = logIn(home);
  const length = existsSync(path) ? statSync(path).size : 0;
  if (length < LOG_BYTES) return length;
  renameSync(path, `${path}.old`);
  return 0;
}

function openLog(home: Home): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
  const file = openSync(logIn(home), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  if (home.account) fchownSync(file, home.account.uid, home.account.gid);
  return file;
}

const logIn = (home: Home) => join(home.root, "server.log");
