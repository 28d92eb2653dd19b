import { availableParallelism } from "node:os";
import { NO_METRICS } from "../metrics.ts";
import { type Admission, createAdmission } from "./admission.ts";
import type { CallContext } from "./call-context.ts";
import type { HashPlace } from "./hash-place.ts";
import { createHashThreads } from "./hash-threads.ts";

/** bcrypt in worker threads of low priority, for those who were admitted. */
export interface Hashing extends Pick<Admission, "retryAfter" | "load"> {
  /** See Admission. */
  admit(context: CallContext, operations?: number): HashPlace;
  close(): Promise<void>;
}

const PLACES_EACH = 33;
const FIRST_GUESS_MS = 100;

/** As many threads as there are cores; they start with the first operation. */
export function createHashing({ count = availableParallelism(), metrics = NO_METRICS } = {}): Hashing {
  const threads = createHashThreads(count);
  const capacity = { workers: count, placesEach: PLACES_EACH, firstGuessMs: FIRST_GUESS_MS };
  const admission = createAdmission(capacity, { refused: metrics.hashRefused, done: metrics.hashed });
  return {
    admit(context, operations) {
      const place = admission.admit(context, operations);
      return {
        run: (task) => place.run(() => threads.run(task)),
        [Symbol.dispose]: () => place[Symbol.dispose](),
      };
    },
    retryAfter: admission.retryAfter,
    load: admission.load,
    close() {
      admission.close();
      return threads.close();
    },
  };
}
