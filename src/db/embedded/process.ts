import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Finds the server that runs on `cluster`, whoever started it. */
export function findServer(cluster: string): { pid: number; stopping: boolean } | null {
  const lines = readIfPresent(pidFileIn(cluster)).split("\n");
  const pid = Number(lines[0]);
  return isServer(pid, cluster) ? { pid, stopping: lines[7]?.startsWith("stopping") ?? false } : null;
}

/** Whether process `pid` runs for `cluster`: its command line says so, which no later owner of a pid will. */
export function isServer(pid: number, cluster: string): boolean {
  return pid > 0 && commandLine(pid).includes(` -D ${cluster} `);
}

function commandLine(pid: number): string {
  try {
    if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    return execFileSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}

/** PostgreSQL's own note of who serves `cluster`. */
export function pidFileIn(cluster: string): string {
  return join(cluster, "postmaster.pid");
}

/**
 * Removes the notes that a killed server left, whose pid another process may have by now. Backends that outlive their
 * server still keep a new one off: it finds their shared memory in use.
 */
export function removeStaleNotes(cluster: string, socket: string): void {
  if (findServer(cluster) !== null) return;
  for (const note of [pidFileIn(cluster), join(socket, ".s.PGSQL.5432.lock")]) rmSync(note, { force: true });
}

/** Reads a file that may be gone at any moment; one that is reads as empty. */
export function readIfPresent(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
