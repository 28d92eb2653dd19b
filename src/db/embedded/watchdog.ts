import { type ChildProcess, execFileSync, type StdioOptions, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, constants, lstatSync, openSync, readdirSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Account, BARE_ENV } from "./home.ts";
import { readIfPresent } from "./process.ts";

const O_CLOEXEC = 0o2000000;
const ANSWER_MS = 15_000;

// Answers each line "name" with a file of that name that holds the server's pid, until the last writer is gone; then
// ends the server: fast, after 5 s immediately. One whose server died gives way to the next. SIGINT goes out before
// the FIFO closes, so whoever finds it without a reader and still gets a connection knows that no end is under way. It
// is repeated because a server that is just being born ignores it.
const WATCH = `
while read -r name; do
  is_server || exit 0
  echo "$server" >"$name"
done <&3
tries=0
while [ $tries -lt 300 ] && is_server && kill -INT "$server" 2>/dev/null; do
  exec 3<&-
  tries=$((tries + 1))
  [ $((tries % 50)) -ne 0 ] || kill -QUIT "$server" 2>/dev/null
  sleep 0.1
done`;

// As the server's parent, it cannot mistake another process for it, and ends (with its status) when it does.
const START = `
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
trap '' HUP INT TERM
is_server() { kill -0 "$server"; } 2>/dev/null
( ${WATCH} ) &
exec 3<&-
wait "$server"
status=$?
kill -KILL $! 2>/dev/null
exit $status`;

const ADOPT = `
exec 3<&0 </dev/null
server=$1 pidfile=$2
trap '' HUP INT TERM
is_server() { read -r current <"$pidfile" && [ "$current" = "$server" ] && kill -0 "$server"; } 2>/dev/null
${WATCH}`;

/** Runs `command` under a watchdog of its own, which ends it when the other end of its stdin is gone. */
export function spawnWatched(command: string[], cwd: string, account: Account | null): ChildProcess {
  return spawnScript(START, command, ["pipe", "pipe", "pipe"], cwd, account);
}

// A shell rather than Node: it needs 1 MB instead of 40, and none of the service's files, which may be replaced.
function spawnScript(script: string, args: string[], stdio: StdioOptions, cwd: string, account: Account | null) {
  const nothing = openSync("/dev/null", "r+");
  const leaks = leakedFiles();
  const covered = Array.from({ length: Math.max(2, ...leaks) - 2 }, (_, i) =>
    leaks.includes(i + 3) ? nothing : "ignore",
  );
  const options = { cwd, env: BARE_ENV, detached: true, stdio: [...stdio, ...covered] as StdioOptions, ...account };
  try {
    return spawn("/bin/sh", ["-c", script, "latchkey-watchdog", ...args], options);
  } finally {
    closeSync(nothing);
  }
}

// Files above 2 that our own parent left open across exec, a supervisor's pipe for one: it would wait for its end for
// as long as the server runs. Node shuts off only the low ones.
function leakedFiles(): number[] {
  if (process.platform !== "linux") return [];
  const files = readdirSync("/proc/self/fd").map(Number);
  return files.filter((file) => {
    const flags = /^flags:\t(\d+)/m.exec(readIfPresent(`/proc/self/fdinfo/${file}`))?.[1];
    return file > 2 && flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  });
}

/** What a new watchdog is to do: start a server by its command line, or see to one that runs. */
export type Task = { start: string[] } | { adopt: number; pidFile: string };

/** Starts a watchdog on the FIFO in `run` and returns our hold on it. */
export async function startWatchdog(run: string, task: Task, log: number, account: Account | null): Promise<number> {
  const fifo = fifoIn(run);
  if (!isFifo(fifo)) makeFifo(fifo, account);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const hold = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
  // The watchdog gets its end from us, open before it is born: were we killed now, it would still see the end of file.
  const input = openSync(fifo, constants.O_RDONLY);
  const stdio = [input, log, log];
  try {
    if ("start" in task) await detach(spawnScript(START, task.start, stdio, run, account));
    else await detach(spawnScript(ADOPT, [String(task.adopt), task.pidFile], stdio, run, account));
    return hold;
  } catch (error) {
    closeSync(hold);
    throw error;
  } finally {
    closeSync(input);
    closeSync(reader);
  }
}

function makeFifo(path: string, account: Account | null): void {
  rmSync(path, { force: true });
  execFileSync("mkfifo", ["-m", "600", path], { env: BARE_ENV, cwd: "/", ...account });
}

async function detach(child: ChildProcess): Promise<void> {
  await once(child, "spawn");
  child.unref();
}

/** Opens our hold on the FIFO in `run`; null when no watchdog reads it. */
export function openHold(run: string): number | null {
  if (!isFifo(fifoIn(run))) return null;
  try {
    return openSync(fifoIn(run), constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === "ENXIO") return null;
    throw error;
  }
}

/**
 * Asks the watchdog for the pid of its server; null when it is gone or going.
 *
 * An open FIFO is no proof: the watchdog may already have read the end of file that the holder before us left. One
 * that answers has not, and cannot while we hold on.
 */
export async function askWatchdog(run: string, hold: number): Promise<number | null> {
  const name = `answer-${randomUUID()}`;
  const deadline = Date.now() + ANSWER_MS;
  try {
    for (let tries = 0; Date.now() < deadline; tries++) {
      // Repeated, because a former watchdog that has lost its server may read the question, and ends without a word.
      if (tries % 16 === 0 && !write(hold, `${name}\n`)) return null;
      const answer = readIfPresent(join(run, name));
      if (answer.endsWith("\n")) return Number(answer);
      await sleep(3);
    }
    throw new Error(`the database's watchdog on ${fifoIn(run)} does not answer`);
  } finally {
    rmSync(join(run, name), { force: true });
  }
}

/** Whether any process holds the FIFO in `run`; call it under the start lock, for it would eat another's question. */
export function isHeld(run: string): boolean {
  const reader = openSync(fifoIn(run), constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return readSync(reader, Buffer.alloc(1)) > 0;
  } catch (error) {
    if (codeOf(error) === "EAGAIN") return true;
    throw error;
  } finally {
    closeSync(reader);
  }
}

function write(hold: number, line: string): boolean {
  try {
    return writeSync(hold, line) > 0;
  } catch (error) {
    if (codeOf(error) === "EAGAIN") return true;
    if (codeOf(error) === "EPIPE") return false;
    throw error;
  }
}

// A backup, or a copy of the folder, may have put a plain file in its place.
const isFifo = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.isFIFO() ?? false;
const fifoIn = (run: string) => join(run, "holders");
const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? "";
