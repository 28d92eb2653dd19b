import { readdirSync, readFileSync } from "node:fs";

// Of Linux on every machine that Node runs on.
const MICROSECONDS_PER_TICK = 10_000;

/** Microseconds of processor time that a process has used, and all that its children have which are no more. */
export function timeOf(pid: number): number {
  const fields = statusOf(pid);
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * MICROSECONDS_PER_TICK;
}

/** The same of a process and its children. */
export function timeOfFamily(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, member) => sum + timeOf(member), 0);
}

export function childrenOf(pid: number): number[] {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return all.map(Number).filter((other) => parentOf(other) === pid);
}

/** Undefined when it is no more. */
export function parentOf(pid: number): number | undefined {
  try {
    return Number(statusOf(pid)[1]);
  } catch {
    return undefined;
  }
}

/** What /proc tells after the name, which may hold spaces: state, parent, … */
function statusOf(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}
