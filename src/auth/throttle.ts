import type { Clock } from "../clock.ts";
import type { Database, Stores } from "../db/database.ts";
import { type Count, type Counted, type Limit, NOT_COUNTED } from "../db/throttle.ts";
import type { RateLimits } from "../rate-limits.ts";
import type { CallContext, Deadline } from "./call-context.ts";
import { createCounting, type Kept, type Wanted } from "./counting.ts";
import type { SealedTokens } from "./sealed-token.ts";
import type { Caller } from "./sessions.ts";
import { createLimits } from "./throttle-limits.ts";
import { createUndecided } from "./undecided.ts";

/**
 * Limits on what can be guessed, flooded or mailed, for all processes together. Each call is counted before it does any
 * work, is refused with RATE_LIMITED where it may not, and its count is given back when it was not what is limited.
 */
export interface Throttle {
  /** Throws RATE_LIMITED for a call that would be refused below, as far as is known without a place or a statement. */
  readonly refuseReached: {
    signIn(attempt: SignInAttempt, context: CallContext): Promise<void>;
    signUp(context: CallContext): Promise<void>;
  };
  /** A password given for a login; the statement that begins the session gives the count back. */
  signIn<T>(attempt: SignInAttempt, context: CallContext, check: (counted: Counted) => Promise<T>): Promise<T>;
  /** A password given by who is signed in; the transaction that it was needed for gives the count back. */
  ownPassword<T>(caller: Caller, deadline: Deadline, check: (counted: Counted) => Promise<T>): Promise<T>;
  /**
   * Forgets wrong passwords for an account whose holder has proved to be it, in the transaction that holds its row.
   * Gives what to call when that is committed, since until then others see those limits reached, and remember it.
   */
  forgive(tx: Stores, userId: number): Promise<() => void>;
  /** A code given for an address, known or not; the statement that confirms that gives the count back. */
  guess<T>(context: CallContext, check: (counted: Counted) => Promise<T>): Promise<T>;
  /** `mayMail` is false where the address has had enough of mails, whether or not it is known. */
  signUp<T>(emailKey: string, context: CallContext, make: (mayMail: boolean) => Promise<T>): Promise<T>;
  /** A mail that somebody asks for, with the same `mayMail`. */
  mail<T>(emailKey: string, context: CallContext, send: (mayMail: boolean) => Promise<T>): Promise<T>;
}

/** The canonical login, and any refresh token that the device ever got. */
export interface SignInAttempt {
  readonly login: string;
  readonly deviceToken: string;
}

/** Builds the limits; for null nothing is limited. */
export function createThrottle(
  rates: RateLimits | null,
  foundations: { readonly clock: Clock; readonly db: Database },
  identifierKey: Buffer,
  sealedTokens: SealedTokens,
): Throttle {
  if (!rates) return UNLIMITED;
  const limits = createLimits(rates, identifierKey);
  const counting = createCounting(foundations);
  const undecided = createUndecided();

  const limited = async <T>(
    wanted: readonly Limit[],
    deadline: Deadline,
    work: (counted: Count) => Promise<T>,
    kept: Kept,
  ): Promise<T> => counting.judge(await counting.count({ limits: wanted, device: null }, deadline), work, kept);

  const signInLimits = ({ login, deviceToken }: SignInAttempt, context: CallContext): Wanted => {
    const opened = sealedTokens.openRefresh(deviceToken);
    const strangers = [limits.accountFailures(login), ...limits.addressFailures(context)];
    return {
      limits: [
        ...strangers.map((limit) => ({ ...limit, ofKnownDevice: false })),
        ...(opened ? [{ ...limits.deviceFailures(opened.sessionId), ofKnownDevice: true }] : []),
      ],
      device: opened && { sessionId: opened.sessionId, login },
    };
  };

  return {
    refuseReached: {
      async signIn(attempt, context) {
        if (undecided.mayMakeRoom(attempt.login)) return;
        await counting.refuseReached(signInLimits(attempt, context), context);
      },
      signUp: (context) => counting.refuseReached({ limits: limits.addressSignUps(context), device: null }, context),
    },

    signIn(attempt, context, check) {
      const wanted = signInLimits(attempt, context);
      const join = () => {
        const refuseReached = counting.watchReached(wanted);
        return async () => {
          refuseReached();
          return counting.count(wanted, context);
        };
      };
      const kept = { INVALID_CREDENTIALS: wanted.limits };
      return undecided.attempt(attempt.login, context, join, (counted) => counting.judge(counted, check, kept));
    },

    ownPassword({ sessionId }, deadline, check) {
      const wanted = [limits.deviceFailures(sessionId)];
      return limited(wanted, deadline, check, { INVALID_CREDENTIALS: wanted });
    },

    async forgive(tx, userId) {
      const { logins, sessionIds } = await tx.users.findLogins(userId);
      return counting.forget(tx, [...logins.map(limits.accountFailures), ...sessionIds.map(limits.deviceFailures)]);
    },

    guess(context, check) {
      const wanted = limits.addressFailures(context);
      return wanted.length > 0 ? limited(wanted, context, check, { INVALID_TOKEN: wanted }) : check(NOT_COUNTED);
    },

    signUp(emailKey, context, make) {
      const signUps = limits.addressSignUps(context);
      const wanted = [...signUps, ...limits.mails(emailKey, context)];
      const work = ({ isWithinOptional }: Count) => make(isWithinOptional);
      return limited(wanted, context, work, { EMAIL_TAKEN: wanted, USERNAME_TAKEN: signUps });
    },

    mail(emailKey, context, send) {
      return limited(limits.mails(emailKey, context), context, ({ isWithinOptional }) => send(isWithinOptional), {});
    },
  };
}

const UNLIMITED: Throttle = {
  refuseReached: { signIn: async () => {}, signUp: async () => {} },
  signIn: (_attempt, _context, check) => check(NOT_COUNTED),
  ownPassword: (_caller, _deadline, check) => check(NOT_COUNTED),
  forgive: async () => () => {},
  guess: (_context, check) => check(NOT_COUNTED),
  signUp: (_emailKey, _context, make) => make(true),
  mail: (_emailKey, _context, send) => send(true),
};
