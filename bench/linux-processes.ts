import { readdirSync, readFileSync } from "node:fs";

// Of Linux on every machine that Node runs on.
const MICROSECONDS_PER_TICK = 10_000;

/** Microseconds of processor time that a process has used, and all that its children have which are no more. */
export function timeOf(pid: number): number {
  return ticksOf(statusOf(pid).slice(11, 15));
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

/** The same of those threads of a process that have a lower priority than the process began with. */
export function timeOfLowThreads(pid: number): number {
  const ids = readdirSync(`/proc/${pid}/task`).map(Number);
  const own = Number(statusOf(pid)[NICE]);
  const low = ids.map((id) => statusOf(`${pid}/task/${id}`)).filter((status) => Number(status[NICE]) > own);
  return low.reduce((sum, status) => sum + ticksOf(status.slice(11, 13)), 0);
}

/** Microseconds of processor time that all programs of this machine have used, or that were taken from it. */
export function timeOfMachine(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [user, nice, system, _idle, _wait, ...others] = line.split(/ +/).slice(1, 9);
  return ticksOf([user, nice, system, ...others]);
}

/** A process's memory, in MB. */
export function memoryOf(pid: number): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

const NICE = 16;

function ticksOf(ticks: readonly (string | undefined)[]): number {
  return ticks.reduce((sum, some) => sum + Number(some), 0) * MICROSECONDS_PER_TICK;
}

/** What /proc tells after the name, which may hold spaces: state, parent, …; nothing of a process that is no more. */
function statusOf(pid: number | string): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}
