import { availableParallelism } from "node:os";
import { NO_METRICS } from "../metrics.ts";
import { createHashAdmission, type HashAdmission } from "./hash-admission.ts";
import { createHashThreads } from "./hash-threads.ts";

/** bcrypt in worker threads of low priority, for those who were admitted. */
export interface Hashing extends Omit<HashAdmission, "close"> {
  close(): Promise<void>;
}

/** As many threads as there are cores; they start with the first operation. */
export function createHashing({ count = availableParallelism(), metrics = NO_METRICS } = {}): Hashing {
  const threads = createHashThreads(count);
  const admission = createHashAdmission(threads, metrics);
  return {
    ...admission,
    close() {
      admission.close();
      return threads.close();
    },
  };
}
