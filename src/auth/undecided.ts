import type { Deadline } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { createTurns, type InTurn } from "./turns.ts";

/** Attempts for the same login that this process has under way: each is counted until it turns out to be right. */
export interface Undecided {
  /**
   * Counts an attempt, then judges it. One that may not be counted while others are under way waits for one of these to
   * be right, which makes room, and is refused when none of them was. Attempts are counted one after the other, since
   * they do so in the same rows: `join` is called when one joins that queue, and what it gives when its turn has come.
   */
  attempt<C, T>(
    login: string,
    deadline: Deadline,
    join: () => () => Promise<C>,
    judge: (counted: C) => Promise<T>,
  ): Promise<T>;
  /** Whether one that was counted may yet make room, and there is a place to wait for that. */
  mayMakeRoom(login: string): boolean;
}

/** One attempt, by its identity. */
type Attempt = object;

interface Waiting {
  readonly attempt: Attempt;
  /** Those that may still make room. Whoever comes later is none of them, or a crowd without end would be waited for. */
  readonly hopes: Set<Attempt>;
  readonly again: () => void;
  readonly refuse: () => void;
}

/** Those who try for one login. */
interface Crowd {
  readonly underWay: Set<Attempt>;
  /** Those of them that were counted, and are judged now. */
  readonly judged: Set<Attempt>;
  readonly waiting: Set<Waiting>;
  readonly inTurn: InTurn;
}

// Of a crowd that guesses, all others are told at once.
const MOST_WAITING = 20;

/** Builds the crowds, of which there are none. */
export function createUndecided(): Undecided {
  const crowds = new Map<string, Crowd>();

  const enter = (login: string, attempt: Attempt): Crowd => {
    const crowd = crowds.get(login) ?? {
      underWay: new Set(),
      judged: new Set(),
      waiting: new Set(),
      inTurn: createTurns(),
    };
    crowds.set(login, crowd);
    crowd.underWay.add(attempt);
    return crowd;
  };

  const leave = (login: string, crowd: Crowd, attempt: Attempt, hasMadeRoom: boolean) => {
    const [first] = hasMadeRoom ? crowd.waiting : [];
    if (first) {
      crowd.waiting.delete(first);
      crowd.underWay.add(first.attempt);
      for (const { hopes } of crowd.waiting) hopes.add(first.attempt);
      first.again();
    }
    crowd.underWay.delete(attempt);
    crowd.judged.delete(attempt);
    for (const waiting of crowd.waiting) {
      waiting.hopes.delete(attempt);
      if (waiting.hopes.size > 0) continue;
      crowd.waiting.delete(waiting);
      waiting.refuse();
    }
    if (crowd.underWay.size === 0) crowds.delete(login);
  };

  return {
    async attempt<C, T>(
      login: string,
      deadline: Deadline,
      join: () => () => Promise<C>,
      judge: (counted: C) => Promise<T>,
    ) {
      const attempt = {};
      const crowd = enter(login, attempt);
      const countInTurn = (): Promise<C> =>
        crowd.inTurn(deadline.signal, join()).catch(async (error) => {
          leave(login, crowd, attempt, false);
          if (!isReason(error, "RATE_LIMITED")) throw error;
          await untilRoom(crowd, attempt, deadline, error);
          return countInTurn();
        });
      const counted = await countInTurn();
      crowd.judged.add(attempt);
      let isWrong = false;
      try {
        return await judge(counted);
      } catch (error) {
        isWrong = isReason(error, "INVALID_CREDENTIALS");
        throw error;
      } finally {
        leave(login, crowd, attempt, !isWrong);
      }
    },
    mayMakeRoom(login) {
      const crowd = crowds.get(login);
      return crowd !== undefined && crowd.judged.size > 0 && crowd.waiting.size < MOST_WAITING;
    },
  };
}

async function untilRoom(crowd: Crowd, attempt: Attempt, { signal }: Deadline, refusal: unknown): Promise<void> {
  if (crowd.underWay.size === 0 || crowd.waiting.size >= MOST_WAITING || signal.aborted) throw refusal;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const waiting = { attempt, hopes: new Set(crowd.underWay), again: resolve, refuse: () => reject(refusal) };
  const onAbort = () => {
    // At once, or it would be called again.
    crowd.waiting.delete(waiting);
    reject(signal.reason);
  };
  crowd.waiting.add(waiting);
  signal.addEventListener("abort", onAbort);
  await promise.finally(() => signal.removeEventListener("abort", onAbort));
}

function isReason(error: unknown, reason: "RATE_LIMITED" | "INVALID_CREDENTIALS"): boolean {
  return error instanceof AuthError && error.reason === reason;
}
