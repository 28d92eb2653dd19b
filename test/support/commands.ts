import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Outcome } from "./programs.ts";

/** What a program is started with; of the environment of the tests it sees the PATH only. */
export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** An empty folder unless given. */
  readonly cwd?: string;
  /** All that stands on its stdin; left open for who writes to the child when null. */
  readonly input?: string | null;
  /** Whom root runs it as. */
  readonly account?: { readonly uid: number; readonly gid: number };
}

const SOURCE = resolve(import.meta.dirname, "../../src");
const nowhere = mkdtempSync(join(tmpdir(), "latchkey-test-"));
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(nowhere, { recursive: true, force: true });
});

/** Starts a program, with what it has written so far and, in the end, how it ended. */
export function start(
  program: string,
  args: readonly string[],
  { env = {}, cwd = nowhere, input = "", account }: Surroundings = {},
) {
  // Node hands the folder of a coverage run down, where another account cannot write.
  const uncovered = account && { NODE_V8_COVERAGE: "" };
  const child = spawn(program, args, { cwd, env: { PATH: process.env.PATH, ...uncovered, ...env }, ...account });
  running.add(child);
  const written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      written[stream] += text;
    });
  }
  // A program that ends without having read all of it is no failure.
  child.stdin.on("error", () => {});
  if (input !== null) child.stdin.end(input);
  const outcome = once(child, "close").then(([code]): Outcome => {
    running.delete(child);
    return { code: Number(code ?? -1), ...written };
  });
  return { child, written, outcome };
}

/** Starts a program of src/. */
export function startSource(file: string, args: readonly string[], surroundings?: Surroundings) {
  return start(process.execPath, [join(SOURCE, file), ...args], surroundings);
}

/** Runs a program of src/ to its end. */
export function runSource(file: string, args: readonly string[], surroundings?: Surroundings): Promise<Outcome> {
  return startSource(file, args, surroundings).outcome;
}

/** The command lines of servers and watchdogs of the embedded database of a DATA_DIR. */
export function databaseProcesses(dataDir: string): string[] {
  const where = join(dataDir, "where");
  const home = existsSync(where) ? readFileSync(where, "utf8").trim() : dataDir;
  const lines = execFileSync("ps", ["-ww", "-eo", "args="], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(`-D ${home}`));
}
