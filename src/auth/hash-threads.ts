import { Piscina } from "piscina";
import type { HashResult, HashTask } from "./hash-worker.ts";

/** Worker threads of low priority that do one bcrypt operation each at a time. */
export interface HashThreads {
  readonly count: number;
  /** For no more operations at once than there are threads: what a thread has got cannot be taken back. */
  run(task: HashTask): Promise<HashResult>;
  close(): Promise<void>;
}

// Nice 10 leaves all that it wants to the rest of the process and still gets a tenth of a contested core; 19 starves.
const NICE = 10;

/** The threads start with the first operation. */
export function createHashThreads(count: number): HashThreads {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const startPool = () =>
    new Piscina({
      filename: new URL(`./hash-worker.${extension}`, import.meta.url).href,
      ...{ minThreads: count, maxThreads: count, niceIncrement: NICE, env: {} },
    });
  let pool: Piscina | undefined;
  return {
    count,
    run(task) {
      pool ??= startPool();
      return pool.run(task);
    },
    close: async () => pool?.destroy(),
  };
}
