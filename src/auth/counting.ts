import type { Clock } from "../clock.ts";
import type { Database, Stores } from "../db/database.ts";
import type { Count, Counted, Device, Limit } from "../db/throttle.ts";
import { type Deadline, unlessLeft } from "./call-context.ts";
import { AuthError, type Reason } from "./errors.ts";
import { createReachedLimits } from "./reached-limits.ts";

/** What a call counts under: limits, and the device by which it is decided which of them hold. */
export interface Wanted {
  readonly limits: readonly Limit[];
  readonly device: Device | null;
}

/** What stays counted of a call that was refused, by the reason. */
export type Kept = Partial<Record<Reason, readonly Limit[]>>;

/** Counts calls under limits, in the database, and remembers which of these this process has seen to be reached. */
export interface Counting {
  /** Throws RATE_LIMITED when one of the limits has no room. Who has left before their turn asks the database nothing. */
  count(wanted: Wanted, deadline: Deadline): Promise<Count>;
  /** Works, and of a failure gives back all of the count but what is kept for its reason. */
  judge<T>(counted: Count, work: (counted: Count) => Promise<T>, kept: Kept): Promise<T>;
  /** Forgets all that was counted under some limits; gives what is to be called when that is committed. */
  forget(tx: Stores, limits: readonly Limit[]): Promise<() => void>;
  /** Throws RATE_LIMITED when one of the limits is known to have no room, without a question to the database. */
  refuseReached(wanted: Wanted, deadline: Deadline): Promise<void>;
  /** Gives what throws RATE_LIMITED when one of the limits was seen to have no room since then. */
  watchReached(wanted: Wanted): () => void;
}

// What others reached in the same moment is seen by the next statement.
const MAX_COUNTS = 3;
const CROWDED_MS = 1_000;

/** Builds the counting of calls. */
export function createCounting({ clock, db }: { readonly clock: Clock; readonly db: Database }): Counting {
  const reached = createReachedLimits(clock);

  const giveBack = async (counted: Counted): Promise<void> => {
    await db.statement(({ throttle }) => throttle.giveBack(counted));
    counted.keys.forEach(reached.forget);
  };

  return {
    async count(wanted, deadline) {
      const { limits, device } = wanted;
      for (let attempt = 1; attempt <= MAX_COUNTS; attempt++) {
        const seen = reached.look(namesOf(wanted));
        const counted = await db.statement(unlessLeft(deadline, ({ throttle }) => throttle.count(limits, device)));
        const waits = limits.map(({ key }) => counted.waits[key] ?? 0);
        seen(waits);
        const retryAfterMs = Math.max(0, ...waits);
        if (retryAfterMs > 0) throw new AuthError("RATE_LIMITED", { retryAfterMs });
        if (!counted.isIncomplete) return counted;
        await giveBack(counted);
      }
      throw new AuthError("RATE_LIMITED", { retryAfterMs: CROWDED_MS });
    },

    async judge(counted, work, kept) {
      try {
        const done = await work(counted);
        counted.keys.forEach(reached.forget);
        return done;
      } catch (error) {
        const staying = (error instanceof AuthError && kept[error.reason]) || [];
        const keys = counted.keys.filter((key) => !staying.some((limit) => limit.key === key));
        // What cannot be given back now is over when its time is.
        await giveBack({ keys, at: counted.at }).catch(() => {});
        throw error;
      }
    },

    async forget(tx, limits) {
      const keys = limits.map(({ key }) => key);
      await tx.throttle.forget(keys);
      return () => keys.forEach(reached.forget);
    },

    refuseReached: (wanted, deadline) => reached.refuse(namesOf(wanted), deadline),
    watchReached: (wanted) => reached.watch(namesOf(wanted)),
  };
}

function namesOf({ limits, device }: Wanted): string[] {
  return limits.map((limit) => nameOf(limit, device));
}

/** What a limit is remembered by: only the database knows whether one of strangers holds for a device, so by that too. */
function nameOf({ key, ofKnownDevice }: Limit, device: Device | null): string {
  return device && ofKnownDevice === false ? `${key} ${device.sessionId} ${device.login}` : key;
}
