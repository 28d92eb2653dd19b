import { networkOf } from "../address-network.ts";
import type { HashRefusal, Measured, Metrics } from "../metrics.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { createHashLines } from "./hash-lines.ts";
import type { HashPlace, Standing, Waiting } from "./hash-place.ts";
import type { HashThreads } from "./hash-threads.ts";
import type { HashResult, HashTask } from "./hash-worker.ts";

/** Decides, in memory and at once, whose passwords are hashed, and in which order. */
export interface HashAdmission {
  /**
   * Takes a place for a call that is expected to need so many operations. Throws OVERLOADED when there is none, or when
   * the call's time would be over before its turn has come.
   */
  admit(context: CallContext, operations?: number): HashPlace;
  /** In how many milliseconds a call from an address should come, when there is no place for it now; null: there may be. */
  retryAfter(address: string): number | null;
  /** See Measured. */
  readonly load: Measured["hashing"];
  /** Sends everybody away. */
  close(): void;
}

/** Places for each thread: one at work, the others waiting. */
const PLACES_PER_THREAD = 33;
// The first guess of an operation's run time; each one that ends corrects it.
const FIRST_GUESS_MS = 100;
const SMOOTHING = 0.2;
const SHORTEST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/**
 * Builds the admission to threads. Sources (addresses, IPv6 by /64) are served in turn. Whoever is alone may have every
 * place; when all are taken, the newest of the longest line gives way to one of a shorter line.
 */
export function createHashAdmission(threads: HashThreads, metrics: Metrics): HashAdmission {
  const places = threads.count * PLACES_PER_THREAD;
  const lines = createHashLines();
  let atWork = 0;
  let runMs = FIRST_GUESS_MS;

  const overloaded = (waitMs: number) => new AuthError("OVERLOADED", { retryAfterMs: retryAfterMs(waitMs) });

  const refused = (why: HashRefusal, waitMs: number) => {
    metrics.hashRefused(why);
    return overloaded(waitMs);
  };

  const waitOf = (source: string): number =>
    (Math.max(0, lines.countAhead(source) + atWork + 1 - threads.count) / threads.count) * runMs;

  const leave = (standing: Standing, reason: unknown, why: HashRefusal) => {
    if (!lines.remove(standing)) return;
    if (standing.waiting || !standing.isBegun) metrics.hashRefused(why);
    standing.left = { reason };
    standing.waiting?.reject(reason);
    standing.waiting = null;
  };

  /** Who would have to give way to one more of a source; `nobody` when there is room. */
  const whoYields = (source: string): Standing | "nobody" | null => {
    const own = lines.lengthOf(source);
    // The last places are kept for sources that have none: theirs would have to give way again at once.
    const room = own > 0 && lines.sources > 1 ? places - threads.count : places;
    return lines.size < room ? "nobody" : lines.newestBeyond(own + 1);
  };

  const makeRoom = (source: string, waitMs: number) => {
    const yielding = whoYields(source);
    if (!yielding) throw refused("full", waitMs);
    if (yielding !== "nobody") leave(yielding, overloaded(waitMs), "displaced");
  };

  const work = async ({ task, since, resolve, reject }: Waiting) => {
    atWork += 1;
    try {
      const { value, ms } = await threads.run(task);
      runMs += (ms - runMs) * SMOOTHING;
      metrics.hashed(Math.max(0, performance.now() - since - ms), ms);
      resolve(value);
    } catch (error) {
      reject(error);
    } finally {
      atWork -= 1;
      serve();
    }
  };

  const serve = () => {
    while (atWork < threads.count) {
      const next = lines.next();
      if (!next) return;
      begin(next);
    }
  };

  const begin = (standing: Standing) => {
    const { waiting, context } = standing;
    if (context.remainingMs() <= 0) return leave(standing, new AuthError("DEADLINE_EXCEEDED"), "expired");
    standing.waiting = null;
    standing.isBegun = true;
    standing.operations = Math.max(0, standing.operations - 1);
    if (waiting) work(waiting);
  };

  const ask = (standing: Standing, task: HashTask): Promise<HashResult["value"]> => {
    if (standing.left) throw standing.left.reason;
    const { promise, resolve, reject } = Promise.withResolvers<HashResult["value"]>();
    standing.waiting = { task, since: performance.now(), resolve, reject };
    serve();
    return promise;
  };

  const open = (standing: Standing): HashPlace => {
    const { context } = standing;
    const { signal } = context;
    const onAbort = () => leave(standing, signal.reason, context.remainingMs() > 0 ? "abandoned" : "expired");
    lines.add(standing);
    signal.addEventListener("abort", onAbort);
    return {
      run: async (task) => ask(standing, task),
      [Symbol.dispose]() {
        lines.remove(standing);
        signal.removeEventListener("abort", onAbort);
      },
    };
  };

  return {
    admit(context, operations = 1) {
      context.signal.throwIfAborted();
      const remainingMs = context.remainingMs();
      if (remainingMs <= 0) throw new AuthError("DEADLINE_EXCEEDED");
      const source = networkOf(context.address);
      const waitMs = waitOf(source);
      if (waitMs + operations * runMs > remainingMs) throw refused("late", waitMs);
      makeRoom(source, waitMs);
      return open({ source, context, operations, waiting: null, isBegun: false, left: null });
    },
    retryAfter(address) {
      const source = networkOf(address);
      if (whoYields(source)) return null;
      metrics.hashRefused("full");
      return retryAfterMs(waitOf(source));
    },
    load() {
      const waiting = lines.all().filter((standing) => standing.waiting).length;
      return { places: lines.size, waiting, running: atWork };
    },
    close() {
      for (const standing of lines.all()) leave(standing, new AuthError("UNAVAILABLE"), "abandoned");
    },
  };
}

// Spread, or everybody who was refused would come back at the same moment.
function retryAfterMs(waitMs: number): number {
  const spread = Math.round(waitMs * (0.5 + Math.random()));
  return Math.min(LONGEST_RETRY_MS, Math.max(SHORTEST_RETRY_MS, spread));
}
