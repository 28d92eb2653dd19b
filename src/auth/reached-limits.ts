import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { Deadline } from "./call-context.ts";
import { AuthError } from "./errors.ts";

/**
 * Limits that this process has seen to be reached: who hammers on at one is refused without a question to the database,
 * which would hold the connections that all other calls need.
 */
export interface ReachedLimits {
  /** The database is asked about limits, so that nobody else need look; gives what takes how long each has no room. */
  look(names: readonly string[]): (waitsMs: readonly number[]) => void;
  /** Something that counted under it was given back. */
  forget(name: string): void;
  /**
   * Throws RATE_LIMITED when one of the limits is known to have no room, later where it does so often, unless it is time
   * that somebody looks anew.
   */
  refuse(names: readonly string[], deadline: Deadline): Promise<void>;
  /** Gives what throws RATE_LIMITED when one of the limits was seen to have no room since then. */
  watch(names: readonly string[]): () => void;
}

interface Reached {
  readonly seenAt: number;
  readonly until: number;
  lookAt: number;
}

// Another process may have given back.
const LOOK_AGAIN_MS = 1_000;
const MOST_NAMES = 10_000;
// One refusal costs the main thread a third of this. Spaced out, those of clients that hammer on are as many as they can
// be without harm; held for longer, they would fill the connections of a gateway.
const SPACING_MS = 1;
const LONGEST_HOLD_MS = 250;

/** Builds the memory, in which nothing is reached. */
export function createReachedLimits(clock: Clock): ReachedLimits {
  const reached = new Map<string, Reached>();
  let lastAt = 0;
  // Steady, whatever the machine's clock does.
  const time = () => performance.now() + clock.offset;

  /** How long the next refusal is held. */
  const holdMs = (): number => {
    const now = performance.now();
    lastAt = Math.min(Math.max(now, lastAt + SPACING_MS), now + LONGEST_HOLD_MS);
    return lastAt - now;
  };

  const longest = (names: readonly string[], waitOf: (limit: Reached, now: number) => number): number => {
    const now = time();
    const known = names.map((name) => reached.get(name)).filter((limit) => limit !== undefined);
    return Math.max(0, ...known.map((limit) => waitOf(limit, now)));
  };

  const remember = (name: string, waitMs: number) => {
    reached.delete(name);
    if (waitMs <= 0) return;
    const seenAt = time();
    reached.set(name, { seenAt, until: seenAt + waitMs, lookAt: seenAt + LOOK_AGAIN_MS });
    const [oldest] = reached.size > MOST_NAMES ? reached.keys() : [];
    if (oldest !== undefined) reached.delete(oldest);
  };

  return {
    look(names) {
      const lookAt = time() + LOOK_AGAIN_MS;
      for (const name of names) {
        const limit = reached.get(name);
        if (limit) limit.lookAt = lookAt;
      }
      return (waitsMs) => names.forEach((name, index) => void remember(name, waitsMs[index] ?? 0));
    },
    forget: (name) => void reached.delete(name),
    async refuse(names, { signal, remainingMs }) {
      // Who passes may be sent away before it has looked: what looks says so itself.
      const waitMs = longest(names, ({ lookAt, until }, now) => (now < lookAt ? until - now : 0));
      if (waitMs === 0) return;
      const heldMs = Math.min(holdMs(), remainingMs() / 2);
      if (heldMs > SPACING_MS) await sleep(heldMs, undefined, { signal }).catch(() => {});
      throw limited(Math.max(1, waitMs - heldMs));
    },
    watch(names) {
      const since = time();
      return () => {
        const waitMs = longest(names, ({ seenAt, until }, now) => (seenAt > since ? until - now : 0));
        if (waitMs > 0) throw limited(waitMs);
      };
    },
  };
}

function limited(retryAfterMs: number): AuthError {
  return new AuthError("RATE_LIMITED", { retryAfterMs });
}
