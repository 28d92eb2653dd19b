import { availableParallelism } from "node:os";
import { createHashAdmission, type HashAdmission } from "./hash-admission.ts";
import { createHashThreads } from "./hash-threads.ts";

/** bcrypt in worker threads of low priority, for those who were admitted. */
export interface Hashing extends Pick<HashAdmission, "admit"> {
  close(): Promise<void>;
}

/** As many threads as there are cores; they start with the first operation. */
export function createHashing(count = availableParallelism()): Hashing {
  const threads = createHashThreads(count);
  const admission = createHashAdmission(threads);
  return {
    admit: admission.admit,
    close() {
      admission.close();
      return threads.close();
    },
  };
}
