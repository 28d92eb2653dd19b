import { NO_METRICS } from "../metrics.ts";
import { type Admission, createAdmission } from "./admission.ts";
import type { CallContext } from "./call-context.ts";

/**
 * Where strangers wait who ask the database for something that costs them no hash: a few at a time, or a flood of them
 * would hold the connections that all other calls need.
 */
export interface Turnstile extends Pick<Admission, "retryAfter" | "load"> {
  /** Does the work when the call's turn has come. Throws OVERLOADED when there is no place for it, as Admission does. */
  pass<T>(context: CallContext, work: () => Promise<T>): Promise<T>;
}

const PLACES_EACH = 33;
const FIRST_GUESS_MS = 10;
// What a stalled database took must not have calls refused when that is over.
const LONGEST_MS = 50;

/** Builds a turnstile that lets so many through at once. */
export function createTurnstile({ workers = 2, metrics = NO_METRICS } = {}): Turnstile {
  const capacity = { workers, placesEach: PLACES_EACH, firstGuessMs: FIRST_GUESS_MS };
  const { admit, retryAfter, load } = createAdmission(capacity, { refused: metrics.strangerRefused });
  return {
    async pass<T>(context: CallContext, work: () => Promise<T>) {
      using place = admit(context);
      const outcome = await place.run(() => timed(work));
      if (outcome.status === "rejected") throw outcome.reason;
      return outcome.value;
    },
    retryAfter,
    load,
  };
}

// Failures too, since most guesses are.
async function timed<T>(work: () => Promise<T>) {
  const begun = performance.now();
  const [value] = await Promise.allSettled([work()]);
  return { value, ms: Math.min(LONGEST_MS, performance.now() - begun) };
}
