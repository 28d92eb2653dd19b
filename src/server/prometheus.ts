import { setTimeout as sleep } from "node:timers/promises";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type Measured, type Metrics, REFUSALS } from "../metrics.ts";

/** The metrics of one process, as Prometheus reads them. */
export interface Prometheus extends Metrics {
  readonly contentType: string;
  render(): Promise<string>;
}

const CALL_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const HASH_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30];
// A scrape must not wait for a database that is away.
const LONGEST_ASK_MS = 2_000;

/** Builds the registry: every label has a closed set of values. */
export function createPrometheus(): Prometheus {
  const registry = new Registry();
  const registers = [registry];
  const counter = <const L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name: `latchkey_${name}`, help, labelNames, registers });
  const histogram = <const L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
    new Histogram({ name: `latchkey_${name}`, help, buckets, labelNames, registers });

  collectDefaultMetrics({ register: registry });
  const calls = counter("calls_total", "Calls that have ended.", "rpc", "protocol", "code", "reason");
  const durations = histogram("call_duration_seconds", "How long calls took.", CALL_BUCKETS, "rpc");
  const waits = histogram("hash_wait_seconds", "How long operations waited for a hash thread.", HASH_BUCKETS);
  const runs = histogram("hash_run_seconds", "How long operations ran in a hash thread.", HASH_BUCKETS);
  const refusals = counter("hash_refusals_total", "Calls that wanted a hash and got none, by cause.", "cause");
  const strangers = counter("stranger_refusals_total", "Calls of strangers that got no turn, by cause.", "cause");
  const cleaned = counter("cleaned_up_rows_total", "Rows that clean-ups of this process have deleted.", "table");
  const uncleaned = counter(
    "clean_up_failures_total",
    "Tables that a clean-up of this process could not finish.",
    "table",
  );
  // What is not there before it first happens cannot be seen to rise.
  for (const cause of REFUSALS) for (const each of [refusals, strangers]) each.inc({ cause }, 0);
  let look = async () => {};
  return {
    contentType: registry.contentType,
    async render() {
      await look();
      return registry.metrics();
    },
    callEnded({ rpc, protocol, code, reason, ms }) {
      calls.inc({ rpc, protocol, code, reason });
      durations.observe({ rpc }, ms / 1000);
    },
    hashed(waitMs, runMs) {
      waits.observe(waitMs / 1000);
      runs.observe(runMs / 1000);
    },
    hashRefused: (cause) => refusals.inc({ cause }),
    strangerRefused: (cause) => strangers.inc({ cause }),
    cleanedUp({ deleted, failed }) {
      for (const [table, rows] of Object.entries(deleted)) cleaned.inc({ table }, rows);
      for (const table of failed) uncleaned.inc({ table });
    },
    observe(measured) {
      look = addGauges(registry, measured);
    },
  };
}

/** Gives the function that brings the gauges up to date. */
function addGauges(
  registry: Registry,
  { hashing, strangers, connections, audit, clockBehindMs, mails }: Measured,
): () => Promise<void> {
  const gauge = (name: string, help: string) => new Gauge({ name: `latchkey_${name}`, help, registers: [registry] });
  const places = gauge("hash_places", "Calls that have a place: they wait for a hash, are hashed or are about to be.");
  const queue = gauge("hash_queue_length", "Operations that wait for a hash thread.");
  const running = gauge("hash_running", "Operations at work in hash threads.");
  const waitingStrangers = gauge("stranger_places", "Calls of strangers that have a turn or wait for one.");
  const runningStrangers = gauge("stranger_running", "Those of them whose turn it is.");
  const used = gauge("database_connections_used", "Connections to the database that are in use.");
  const idle = gauge("database_connections_idle", "Connections to the database that are idle.");
  const waiting = gauge("database_waiting", "Statements and transactions that wait for a connection.");
  const audited = new Gauge({
    name: "latchkey_audit_events",
    help: "Audit events of refusals since the process began: written, of these summed up, lost, and not written yet.",
    labelNames: ["state"],
    registers: [registry],
  });
  const behind = gauge("clock_behind_seconds", "By how much this machine's clock is behind the database's.");
  const queued = gauge("mails_waiting", "Mails of all processes that wait to be sent.");
  const oldest = gauge("mails_oldest_seconds", "How long the oldest of them has waited.");
  const givenUp = gauge("mails_given_up", "Mails of the last two days that were never sent.");
  const unknown = { waiting: Number.NaN, oldestSeconds: Number.NaN, givenUp: Number.NaN };
  return async () => {
    const [hashes, turns, pool] = [hashing(), strangers(), connections()];
    places.set(hashes.places);
    queue.set(hashes.waiting);
    running.set(hashes.running);
    waitingStrangers.set(turns.places);
    runningStrangers.set(turns.running);
    used.set(pool.used);
    idle.set(pool.idle);
    waiting.set(pool.waiting);
    for (const [state, count] of Object.entries(audit())) audited.set({ state }, count);
    behind.set(clockBehindMs() / 1000);
    const outbox = await Promise.race([mails().catch(() => unknown), sleep(LONGEST_ASK_MS, unknown, { ref: false })]);
    queued.set(outbox.waiting);
    oldest.set(outbox.oldestSeconds);
    givenUp.set(outbox.givenUp);
  };
}
