import type { FloodReport } from "./flood-clients.ts";
import type { OthersReport } from "./flood-others.ts";
import type { RawSpeed } from "./raw-bcrypt.ts";

/** Processor time in microseconds that was spent until a moment, by whom. */
export interface Spent {
  readonly at: number;
  /** By the service's threads of lower priority. */
  readonly hashing: number;
  /** By all of the service. */
  readonly service: number;
  readonly postgres: number;
  /** By every program of the machine. */
  readonly machine: number;
}

/** The other calls during some time, and what everybody spent from its beginning to its end. */
export interface Others extends OthersReport {
  readonly before: Spent;
  readonly after: Spent;
}

/** Prints how many sign-ins succeeded and how long those and the refused ones took. */
export function printSignIns({ signedIn, refused, failed }: FloodReport, seconds: number): void {
  printTimes("signed in", signedIn, seconds);
  printTimes("refused", refused, seconds);
  if (refused.length > 0)
    print("  of them within 50 ms", percent(refused.filter((ms) => ms < 50).length / refused.length));
  print("failed otherwise", `${(failed / seconds).toFixed(2)}/s`);
}

/**
 * Prints what took the cores' time, and the sign-ins measured against bcrypt alone in what was there for them: all that
 * clients, other programs and the other calls (as much as they take before the flood and after it) left.
 */
export function printShares(
  { signedIn, time }: FloodReport,
  { cores, raw, idle, during }: { cores: number; raw: RawSpeed; idle: readonly Others[]; during: Others },
): void {
  const whole = usedIn(during);
  const clients = (time + during.time) / whole.span;
  const others = meanOf(idle.map(usedIn).map(({ service, postgres }) => service + postgres));
  const foreign = Math.max(0, whole.machine - whole.service - whole.postgres - clients);
  const left = cores - clients - foreign - others;
  // When the time is up, each thread is half way through another one, on average.
  const perSecond = ((signedIn.length + cores / 2) * 1e6) / whole.span;
  print("cores used by the hash threads", whole.hashing.toFixed(3));
  print("  by the rest of the service", (whole.service - whole.hashing).toFixed(3));
  print("  by PostgreSQL", whole.postgres.toFixed(3));
  print("  by service and PostgreSQL for the other calls alone", others.toFixed(3));
  print("  by the clients", clients.toFixed(3));
  print("  by other programs", foreign.toFixed(3));
  print("  by nobody", (cores - whole.machine).toFixed(3));
  if (signedIn.length === 0) return;
  print(
    "bcrypt alone",
    `${raw.perSecond.toFixed(2)}/s, in what was left of the cores ${inLeft(raw, left).toFixed(2)}/s`,
  );
  print("signed in, of bcrypt alone", percent(perSecond / raw.perSecond));
  print("signed in, of bcrypt alone in what was left", `${percent(perSecond / inLeft(raw, left))}  (goal: 97.0 %)`);
  const whileRefusing = cores - clients - foreign - (whole.service - whole.hashing) - whole.postgres;
  if (whole.hashing > 0)
    print("  in what the whole rest of the service left as well", percent(perSecond / inLeft(raw, whileRefusing)));
}

/** Prints the latencies of the other calls before the flood and during it. */
export function printCalls(idle: OthersReport["calls"], during: OthersReport["calls"]): void {
  for (const [name, times] of Object.entries(during)) {
    const calm = idle[name] ?? [];
    const ratio = `p99 ${(percentileOf(times, 0.99) / percentileOf(calm, 0.99)).toFixed(1)} times as long`;
    print(name, `idle ${percentilesOf(calm)}; flooded ${percentilesOf(times)}; ${ratio}`);
  }
}

/** Prints how the memory went, from samples in MB that were taken each second. */
export function printMemory(samples: readonly number[]): void {
  const tenth = Math.max(1, Math.round(samples.length / 10));
  const mean = (some: readonly number[]) => meanOf(some).toFixed(0);
  const half = Math.floor(samples.length / 2);
  const [first, middle, last] = [samples.slice(0, tenth), samples.slice(half, half + tenth), samples.slice(-tenth)];
  print(
    "memory at first, half way, at last; most",
    `${mean(first)}, ${mean(middle)}, ${mean(last)}; ${Math.max(...samples).toFixed(0)} MB`,
  );
}

/** Prints how the service says that calls have ended. */
export function printEnds(ends: Readonly<Record<string, number>>): void {
  for (const [end, count] of Object.entries(ends).sort()) print(`  ${end.replace("auth.v1.", "")}`, String(count));
}

function usedIn({ before, after }: Others) {
  const span = (after.at - before.at) * 1000;
  const share = (of: "hashing" | "service" | "postgres" | "machine") => (after[of] - before[of]) / span;
  return {
    span,
    hashing: share("hashing"),
    service: share("service"),
    postgres: share("postgres"),
    machine: share("machine"),
  };
}

/** What bcrypt alone would do by the time that so many cores have. */
function inLeft({ time }: RawSpeed, cores: number): number {
  return (cores * 1e6) / time;
}

function meanOf(some: readonly number[]): number {
  return some.reduce((sum, one) => sum + one, 0) / some.length;
}

function percentilesOf(ms: readonly number[]): string {
  return [0.5, 0.99]
    .map((share) => `p${share * 100} ${percentileOf(ms, share).toFixed(1)}`)
    .join(", ")
    .concat(" ms");
}

function printTimes(what: string, ms: readonly number[], seconds: number): void {
  const times = ms.length > 0 ? `, ${percentilesOf(ms)}` : "";
  print(what, `${(ms.length / seconds).toFixed(2)}/s${times}`);
}

function percentileOf(ms: readonly number[], share: number): number {
  const sorted = ms.toSorted((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

function print(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(54)} ${value}\n`);
}
