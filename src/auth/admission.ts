import { networkOf } from "../address-network.ts";
import type { Refusal } from "../metrics.ts";
import { createAppointments, spreadRetryMs } from "./appointments.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { createLines } from "./lines.ts";
import type { Operation, Place, Standing, Waiting } from "./place.ts";

/** Decides, in memory and at once, who has a share of what there is little of, and in which order. */
export interface Admission {
  /**
   * Takes a place for a call that is expected to need so many operations. Throws OVERLOADED when there is none, or when
   * the call's time would be over before its turn has come.
   */
  admit(context: CallContext, operations?: number): Place;
  /**
   * In how many milliseconds a call from an address should come that has so many left, when there is no place for it
   * now or its turn would come too late; null: it may come in.
   */
  retryAfter(address: string, remainingMs: number): number | null;
  /** Calls that have a place, those of them that wait for their turn, and operations at work. */
  load(): { readonly places: number; readonly waiting: number; readonly running: number };
  /** Sends everybody away. */
  close(): void;
}

/** How much there is. */
export interface Capacity {
  /** Operations at work at the same time. */
  readonly workers: number;
  /** Places for each of these: one at work, the others waiting. */
  readonly placesEach: number;
  /** How long an operation takes, as a first guess; each one that ends corrects it. */
  readonly firstGuessMs: number;
}

/** Whom an admission tells how it is getting on. */
export interface AdmissionWatch {
  refused(why: Refusal): void;
  /** An operation was done; how long it waited and how long it took. */
  done?(waitMs: number, runMs: number): void;
}

/** What one more of a source would find now. */
interface Prospect {
  /** Why there is no place for it. */
  readonly why: "full" | "late" | null;
  /** Who would have to give way to it. */
  readonly yielding: Standing | null;
  /** How long it would wait, if nobody else came. */
  readonly waitMs: number;
}

const SMOOTHING = 0.2;
// How much of the time that a call has left may be planned for: operations take longer at times, and it has more to do.
const PLANNED = 0.9;
// Nothing is learnt while all are refused for what was learnt before.
const STALE_MS = 10_000;
// Were all that there is given away beforehand, those who come a little late would find no room.
const APPOINTED = 0.9;

/**
 * Builds an admission. Sources (addresses, IPv6 by /64) are served in turn. Whoever is alone may have every
 * place; when all are taken, the newest of the longest line gives way to one of a shorter line. `now` gives a steady time
 * in milliseconds.
 */
export function createAdmission(
  { workers, placesEach, firstGuessMs }: Capacity,
  watch: AdmissionWatch,
  now = () => performance.now(),
): Admission {
  const places = workers * placesEach;
  const half = Math.floor(places / 2);
  const lines = createLines();
  const appointments = createAppointments(now);
  let atWork = 0;
  let runMs = firstGuessMs;
  let learntAt = now();

  const overloaded = (retryAfterMs: number) => new AuthError("OVERLOADED", { retryAfterMs });

  const waitBehind = (ahead: number): number => (Math.max(0, ahead + atWork + 1 - workers) / workers) * runMs;

  const waitOf = (source: string): number => waitBehind(lines.countAhead(source));

  /** How many places are kept from a source for those who were told to come now or next. */
  const expectedBefore = (source: string): number => Math.min(appointments.expected(source, workers), half);

  /** Of what was learnt long ago when nobody is there, only the hope is left. */
  const likelyRunMs = (): number =>
    lines.size === 0 && now() - learntAt > STALE_MS ? Math.min(runMs, firstGuessMs) : runMs;

  /** What one more of a source would find, that has so many operations and so much time. */
  const prospectOf = (source: string, operations: number, remainingMs: number): Prospect => {
    const expected = expectedBefore(source);
    const ahead = lines.countAhead(source);
    const waitMs = waitBehind(ahead);
    const hasRoom = lines.size < places - expected - keptForOthers(source);
    const yielding = hasRoom ? null : lines.newestBeyond(lines.lengthOf(source) + 1);
    if (!hasRoom && !yielding) return { why: "full", yielding, waitMs };
    const neededMs = waitBehind(ahead + expected) + operations * likelyRunMs();
    return { why: neededMs > PLANNED * remainingMs ? "late" : null, yielding, waitMs };
  };

  /** When one more of a source should come, for whom there is no place; the line should not be empty by then. */
  const turnAway = (source: string, why: "full" | "late", waitMs: number, remainingMs: number): number => {
    watch.refused(why);
    // Half of the places may be taken when its time has come.
    const isHopeless = waitBehind(half) + runMs > PLANNED * remainingMs;
    if (isHopeless || lines.lengthOf(source) > 0) return spreadRetryMs(waitMs);
    return appointments.of(source) ?? appoint(source, waitMs);
  };

  const appoint = (source: string, waitMs: number): number =>
    appointments.give(source, waitMs / 2, runMs / workers / APPOINTED) ?? spreadRetryMs(waitMs);

  const leave = (standing: Standing, reason: unknown, why: Refusal) => {
    if (!lines.remove(standing)) return;
    if (standing.waiting || !standing.isBegun) watch.refused(why);
    standing.left = { reason };
    standing.waiting?.reject(reason);
    standing.waiting = null;
  };

  /** How many of the last places a source that has one is not given: there it would have to give way at once. */
  const keptForOthers = (source: string): number => (lines.lengthOf(source) > 0 && lines.sources > 1 ? workers : 0);

  const makeRoom = (source: string, yielding: Standing | null) => {
    if (yielding) leave(yielding, overloaded(spreadRetryMs(waitOf(yielding.source))), "displaced");
    // With nobody there, the rush is over: whoever has not come yet will find room.
    if (lines.size === 0) appointments.clear();
    else appointments.meet(source);
  };

  const begin = async ({ work, since, reject }: Waiting) => {
    atWork += 1;
    try {
      const ms = await work();
      runMs += (ms - runMs) * SMOOTHING;
      learntAt = now();
      watch.done?.(Math.max(0, now() - since - ms), ms);
    } catch (error) {
      reject(error);
    } finally {
      atWork -= 1;
      serve();
    }
  };

  const serve = () => {
    while (atWork < workers) {
      const next = lines.next();
      if (!next) return;
      call(next);
    }
  };

  const call = (standing: Standing) => {
    const { waiting, context } = standing;
    const remainingMs = context.remainingMs();
    if (remainingMs <= 0) return leave(standing, new AuthError("DEADLINE_EXCEEDED"), "expired");
    // It would be done in vain.
    if (remainingMs < runMs) return leave(standing, overloaded(spreadRetryMs(waitOf(standing.source))), "late");
    standing.waiting = null;
    standing.isBegun = true;
    standing.operations = Math.max(0, standing.operations - 1);
    if (waiting) begin(waiting);
  };

  const ask = <T>(standing: Standing, operation: Operation<T>): Promise<T> => {
    if (standing.left) throw standing.left.reason;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const work = async () => {
      const { value, ms } = await operation();
      resolve(value);
      return ms;
    };
    standing.waiting = { since: now(), work, reject };
    serve();
    return promise;
  };

  const open = (standing: Standing): Place => {
    const { context } = standing;
    const { signal } = context;
    const onAbort = () => leave(standing, signal.reason, context.remainingMs() > 0 ? "abandoned" : "expired");
    lines.add(standing);
    signal.addEventListener("abort", onAbort);
    return {
      run: async (operation) => ask(standing, operation),
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
      const { why, yielding, waitMs } = prospectOf(source, operations, remainingMs);
      if (why) throw overloaded(turnAway(source, why, waitMs, remainingMs));
      makeRoom(source, yielding);
      return open({ source, context, operations, waiting: null, isBegun: false, left: null });
    },
    retryAfter(address, remainingMs) {
      const source = networkOf(address);
      const { why, waitMs } = prospectOf(source, 1, remainingMs);
      // Of a call that has too little time even without a wait more is said further in.
      if (why === "late" && waitMs === 0) return null;
      return why && turnAway(source, why, waitMs, remainingMs);
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
