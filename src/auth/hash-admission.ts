import { networkOf } from "../address-network.ts";
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
export function createHashAdmission(threads: HashThreads): HashAdmission {
  const places = threads.count * PLACES_PER_THREAD;
  const lines = createHashLines();
  let atWork = 0;
  let runMs = FIRST_GUESS_MS;

  const overloaded = (waitMs: number) => {
    // Spread, or everybody who was refused would come back at the same moment.
    const retryAfterMs = Math.round(waitMs * (0.5 + Math.random()));
    return new AuthError("OVERLOADED", {
      retryAfterMs: Math.min(LONGEST_RETRY_MS, Math.max(SHORTEST_RETRY_MS, retryAfterMs)),
    });
  };

  const waitOf = (source: string): number =>
    (Math.max(0, lines.countAhead(source) + atWork + 1 - threads.count) / threads.count) * runMs;

  const leave = (standing: Standing, reason: unknown) => {
    if (!lines.remove(standing)) return;
    standing.left = { reason };
    standing.waiting?.reject(reason);
    standing.waiting = null;
  };

  const makeRoom = (source: string, waitMs: number) => {
    const own = lines.lengthOf(source);
    // The last places are kept for sources that have none: theirs would have to give way again at once.
    const room = own > 0 && lines.sources > 1 ? places - threads.count : places;
    if (lines.size < room) return;
    const yielding = lines.newestBeyond(own + 1);
    if (!yielding) throw overloaded(waitMs);
    leave(yielding, overloaded(waitMs));
  };

  const work = async ({ task, resolve, reject }: Waiting) => {
    atWork += 1;
    try {
      const { value, ms } = await threads.run(task);
      runMs += (ms - runMs) * SMOOTHING;
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
    if (context.remainingMs() <= 0) return leave(standing, new AuthError("DEADLINE_EXCEEDED"));
    standing.waiting = null;
    standing.isBegun = true;
    standing.operations = Math.max(0, standing.operations - 1);
    if (waiting) work(waiting);
  };

  const ask = (standing: Standing, task: HashTask): Promise<HashResult["value"]> => {
    if (standing.left) throw standing.left.reason;
    const { promise, resolve, reject } = Promise.withResolvers<HashResult["value"]>();
    standing.waiting = { task, resolve, reject };
    serve();
    return promise;
  };

  const open = (standing: Standing): HashPlace => {
    const { signal } = standing.context;
    const onAbort = () => leave(standing, signal.reason);
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
      if (waitMs + operations * runMs > remainingMs) throw overloaded(waitMs);
      makeRoom(source, waitMs);
      return open({ source, context, operations, waiting: null, isBegun: false, left: null });
    },
    close() {
      for (const standing of lines.all()) leave(standing, new AuthError("UNAVAILABLE"));
    },
  };
}
