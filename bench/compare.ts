import { setTimeout as sleep } from "node:timers/promises";

/** One side of a comparison: does its work once and gives the microseconds of processor time that each piece of it took. */
export interface Side {
  readonly name: string;
  readonly round: () => Promise<number> | number;
}

/**
 * Runs the sides in turn, each round in another order, and gives each one's median: the machine may be busy with other
 * things, and what disturbs one side disturbs the other.
 */
export async function compare(sides: readonly Side[], rounds: number): Promise<number[]> {
  const taken = sides.map((): number[] => []);
  for (const { round } of sides) await round();
  for (let turn = 0; turn < rounds; turn++) {
    for (let place = 0; place < sides.length; place++) {
      const index = (turn + place) % sides.length;
      taken[index]?.push((await sides[index]?.round()) ?? Number.NaN);
      // What a round has kept waiting.
      await sleep(BREAK_MS);
    }
  }
  const medians = taken.map(median);
  for (const [index, { name }] of sides.entries())
    process.stdout.write(`${line(name, medians[index] ?? Number.NaN)}\n`);
  return medians;
}

/** Says how a ratio turned out, beside what was hoped for. */
export function report(what: string, ratio: number, goal?: number): void {
  const verdict = goal === undefined ? "" : `  (goal: ${percent(goal)}, ${ratio >= goal ? "reached" : "missed"})`;
  process.stdout.write(`${what.padEnd(WIDTH)}${percent(ratio).padStart(12)}${verdict}\n`);
}

/** Microseconds of processor time that this process has used, in all its threads. */
export function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

const BREAK_MS = 20;
const WIDTH = 56;

function line(name: string, us: number): string {
  return `${name.padEnd(WIDTH)}${us.toFixed(2).padStart(9)} µs${Math.round(1e6 / us)
    .toLocaleString("en")
    .padStart(12)} / s of one core`;
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
