import { availableParallelism } from "node:os";
import { Piscina } from "piscina";
import type { Deadline } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import type { HashResult, HashTask } from "./hash-worker.ts";

/** bcrypt in worker threads of low priority, with a bounded queue. Refuses with OVERLOADED rather than let a call wait in vain. */
export interface Hashing {
  /** Refuses as an operation begun now would be: for who has other work to do first. */
  requireRoom(deadline: Deadline): void;
  hash(input: string, cost: number, deadline: Deadline): Promise<string>;
  compare(input: string, hash: string, deadline: Deadline): Promise<boolean>;
  close(): Promise<void>;
}

/** Calls that may wait for each thread. */
const QUEUE_PER_THREAD = 32;
// Nice 10 leaves all that it wants to the rest of the process and still gets a tenth of a contested core; 19 starves.
const NICE = 10;
// The first guess of an operation's run time; each one that ends corrects it.
const FIRST_GUESS_MS = 100;
const SMOOTHING = 0.2;
const NO_RETRY_BEFORE_MS = 1_000;

/** As many threads as there are cores; they start with the first operation. */
export function createHashing(threads = availableParallelism()): Hashing {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const maxQueue = threads * QUEUE_PER_THREAD;
  const startPool = () =>
    new Piscina({
      filename: new URL(`./hash-worker.${extension}`, import.meta.url).href,
      ...{ minThreads: threads, maxThreads: threads, maxQueue, niceIncrement: NICE },
      env: {},
    });
  let pool: Piscina | undefined;
  let runMs = FIRST_GUESS_MS;
  let unfinished = 0;

  const requireRoom = (deadline: Deadline) => {
    deadline.signal.throwIfAborted();
    if (deadline.remainingMs() <= 0) throw new AuthError("DEADLINE_EXCEEDED");
    const waitMs = (Math.max(0, unfinished + 1 - threads) / threads) * runMs;
    if (unfinished < maxQueue + threads && waitMs + runMs <= deadline.remainingMs()) return;
    throw new AuthError("OVERLOADED", { retryAfterMs: Math.max(NO_RETRY_BEFORE_MS, Math.ceil(waitMs / 2)) });
  };

  const run = async (task: Omit<HashTask, "started">, deadline: Deadline): Promise<unknown> => {
    requireRoom(deadline);
    const started = new SharedArrayBuffer(4);
    const queued = new AbortController();
    // To abort a task that runs ends its thread.
    const leave = () => {
      if (Atomics.load(new Int32Array(started), 0) === 0) queued.abort(deadline.signal.reason);
    };
    deadline.signal.addEventListener("abort", leave);
    unfinished += 1;
    try {
      pool ??= startPool();
      const { value, ms }: HashResult = await pool.run({ ...task, started }, { signal: queued.signal });
      runMs += (ms - runMs) * SMOOTHING;
      return value;
    } catch (error) {
      throw queued.signal.aborted ? queued.signal.reason : error;
    } finally {
      unfinished -= 1;
      deadline.signal.removeEventListener("abort", leave);
    }
  };

  return {
    requireRoom,
    hash: async (input, cost, deadline) => String(await run({ input, cost } as HashTask, deadline)),
    compare: async (input, hash, deadline) => (await run({ input, hash } as HashTask, deadline)) === true,
    close: async () => pool?.destroy(),
  };
}
