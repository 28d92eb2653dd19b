import type { LateEvent } from "../db/audit-events.ts";
import type { AuditEventType, Trace } from "../db/audit-recording.ts";
import type { Reason } from "./errors.ts";

/** Something that happened without a change in the database: a refusal, for the most part. */
export interface Note extends Trace {
  readonly type: AuditEventType;
  readonly reason: Reason | "ALREADY_CONFIRMED";
  readonly userId?: number | null;
  readonly sessionId?: string | null;
  readonly deviceName?: string | null;
  readonly detail?: string | null;
}

/** An event that waits to be written; `at` is the monotonic time at which it happened. */
interface Waiting {
  readonly event: Omit<LateEvent, "ageMs">;
  readonly at: number;
}

/** How many events of one kind are known by their number alone, since when. */
interface Sum {
  readonly type: LateEvent["type"];
  readonly reason: LateEvent["reason"];
  count: number;
  readonly at: number;
}

/** Most events that wait singly: some megabytes, and far more than come between two writes. */
const MOST_SINGLE = 10_000;
/** Of one kind, so many at once and then so many a second are kept singly. */
const BURST = 100;
const PER_SECOND = 1;
/** Each of these has cost a hash, which bounds them by itself; and they are the ones to look into. */
const AFTER_A_HASH: readonly string[] = ["INVALID_CREDENTIALS", "EMAIL_NOT_CONFIRMED", "USER_BLOCKED"];

/** Events that wait to be written: bounded whatever strangers do, and however long the database is away. */
export interface AuditBacklog {
  add(note: Note): void;
  /** Takes out the oldest, at most so many and at least one if there is any. */
  take(most: number): Waiting[];
  /** Takes back what could not be written. */
  giveBack(waiting: readonly Waiting[]): void;
  /** How many events wait, those that are summed up included. */
  count(): number;
  /** How many have been summed up in all. */
  summed(): number;
}

/**
 * Builds an empty backlog. In a flood the first events of each kind are kept singly, and one a second then; the others
 * are summed up, so that only their number, type and reason are known. Kinds are few, so this takes no room either.
 */
export function createAuditBacklog(): AuditBacklog {
  let single: Waiting[] = [];
  const sums = new Map<string, Sum>();
  const isWithinBudget = createBudgets();
  let summed = 0;

  const sumUp = ({ type, reason, count, at }: Sum) => {
    const key = `${type} ${reason}`;
    const sum = sums.get(key);
    if (sum) sum.count += count;
    else sums.set(key, { type, reason, count, at });
  };

  return {
    add(note) {
      const { type, reason } = note;
      const at = performance.now();
      const isKept = AFTER_A_HASH.includes(reason) || isWithinBudget(`${type} ${reason}`, at);
      if (isKept && single.length < MOST_SINGLE) return void single.push({ event: { ...UNKNOWN, ...note }, at });
      summed += 1;
      sumUp({ type, reason, count: 1, at });
    },

    take(most) {
      if (single.length > 0) return single.splice(0, most);
      const taken = [...sums.values()].map(({ at, ...sum }) => ({ event: { ...UNKNOWN, ...OF_SEVERAL, ...sum }, at }));
      sums.clear();
      return taken;
    },

    giveBack(waiting) {
      const isSum = ({ event }: Waiting) => event.actor === OF_SEVERAL.actor;
      for (const { event, at } of waiting.filter(isSum)) sumUp({ ...event, at });
      single = [...waiting.filter((one) => !isSum(one)), ...single];
    },

    count: () => single.length + [...sums.values()].reduce((total, { count }) => total + count, 0),
    summed: () => summed,
  };
}

const UNKNOWN = { userId: null, sessionId: null, deviceName: null, detail: null, count: 1 };
const OF_SEVERAL = { actor: "several", address: "" };

/** A bucket of BURST for each kind, filled at PER_SECOND; the time is monotonic. */
function createBudgets(): (kind: string, at: number) => boolean {
  const buckets = new Map<string, { level: number; at: number }>();
  return (kind, at) => {
    const bucket = buckets.get(kind) ?? { level: BURST, at };
    bucket.level = Math.min(BURST, bucket.level + ((at - bucket.at) / 1000) * PER_SECOND);
    bucket.at = at;
    buckets.set(kind, bucket);
    const isWithin = bucket.level >= 1;
    if (isWithin) bucket.level -= 1;
    return isWithin;
  };
}
