import { readdirSync, readFileSync } from "node:fs";

// Of Linux on every machine that Node runs on.
const MICROSECONDS_PER_TICK = 10_000;

/** Microseconds of processor time that a process has used, and all that its children have which are no more. */
export function timeOf(pid: number): number {
  const ticks = statusOf(pid).slice(11, 15).map(Number);
  return ticks.reduce((sum, some) => sum + some, 0) * MICROSECONDS_PER_TICK;
}

/** The same of a process and its children. */
export function timeOfFamily(pid: number): number {
  const others = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const children = others.map(Number).filter((other) => parentOf(other) === pid);
  return [...children, pid].reduce((sum, member) => sum + timeOf(member), 0);
}

/** The process that started a process. */
export function parentOf(pid: number): number {
  return Number(statusOf(pid)[1]);
}

/** What /proc tells after the name, which may hold spaces: state, parent, …; nothing of a process that is no more. */
function statusOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}
