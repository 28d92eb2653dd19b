import type { Clock } from "../clock.ts";
import type { Database, Stores } from "../db/database.ts";
import { type Count, type Counted, type Device, type Limit, NOT_COUNTED } from "../db/throttle.ts";
import type { RateLimits } from "../rate-limits.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError, type Reason } from "./errors.ts";
import { createReachedLimits } from "./reached-limits.ts";
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
  readonly refuseKnown: {
    signIn(attempt: SignInAttempt, context: CallContext): Promise<void>;
    signUp(context: CallContext): Promise<void>;
  };
  /** A password given for a login; the statement that begins the session gives the count back. */
  signIn<T>(attempt: SignInAttempt, context: CallContext, check: (counted: Counted) => Promise<T>): Promise<T>;
  /** A password given by who is signed in; the transaction that it was needed for gives the count back. */
  ownPassword<T>(caller: Caller, check: (counted: Counted) => Promise<T>): Promise<T>;
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

/** What stays counted of a call that was refused, by the reason. */
type Kept = Partial<Record<Reason, readonly Limit[]>>;

// What others reached in the same moment is seen by the next statement.
const MAX_COUNTS = 3;
const CROWDED_MS = 1_000;

/** Builds the limits; for null nothing is limited. */
export function createThrottle(
  rates: RateLimits | null,
  { clock, db }: { readonly clock: Clock; readonly db: Database },
  identifierKey: Buffer,
  sealedTokens: SealedTokens,
): Throttle {
  if (!rates) return UNLIMITED;
  const limits = createLimits(rates, identifierKey);
  const undecided = createUndecided();
  const reached = createReachedLimits(clock);

  const giveBack = async (counted: Counted): Promise<void> => {
    await db.statement(({ throttle }) => throttle.giveBack(counted));
    counted.keys.forEach(reached.forget);
  };

  const count = async (wanted: readonly Limit[], device: Device | null = null): Promise<Count> => {
    const names = wanted.map((limit) => nameOf(limit, device));
    for (let attempt = 1; attempt <= MAX_COUNTS; attempt++) {
      const seen = reached.look(names);
      const counted = await db.statement(({ throttle }) => throttle.count(wanted, device));
      const waits = wanted.map(({ key }) => counted.waits[key] ?? 0);
      seen(waits);
      const retryAfterMs = Math.max(0, ...waits);
      if (retryAfterMs > 0) throw new AuthError("RATE_LIMITED", { retryAfterMs });
      if (!counted.isIncomplete) return counted;
      await giveBack(counted);
    }
    throw new AuthError("RATE_LIMITED", { retryAfterMs: CROWDED_MS });
  };

  /** Works, and of a failure gives back all of the count but what is kept for its reason. */
  const judge = async <T>(counted: Count, work: (counted: Count) => Promise<T>, kept: Kept): Promise<T> => {
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
  };

  const limited = async <T>(wanted: readonly Limit[], work: (counted: Count) => Promise<T>, kept: Kept): Promise<T> =>
    judge(await count(wanted), work, kept);

  const underSignIn = ({ login, deviceToken }: SignInAttempt, context: CallContext) => {
    const opened = sealedTokens.openRefresh(deviceToken);
    const strangers = [limits.accountFailures(login), ...limits.addressFailures(context)];
    const wanted: readonly Limit[] = [
      ...strangers.map((limit) => ({ ...limit, ofKnownDevice: false })),
      ...(opened ? [{ ...limits.deviceFailures(opened.sessionId), ofKnownDevice: true }] : []),
    ];
    const device = opened && { sessionId: opened.sessionId, login };
    return { wanted, device, names: wanted.map((limit) => nameOf(limit, device)) };
  };

  return {
    refuseKnown: {
      async signIn(attempt, context) {
        if (undecided.mayMakeRoom(attempt.login)) return;
        await reached.refuse(underSignIn(attempt, context).names, context);
      },
      async signUp(context) {
        const names = limits.addressSignUps(context).map(({ key }) => key);
        await reached.refuse(names, context);
      },
    },

    signIn(attempt, context, check) {
      const { wanted, device, names } = underSignIn(attempt, context);
      const join = () => {
        const refuseReached = reached.watch(names);
        return async () => {
          refuseReached();
          return count(wanted, device);
        };
      };
      const kept = { INVALID_CREDENTIALS: wanted };
      return undecided.attempt(attempt.login, context, join, (counted) => judge(counted, check, kept));
    },

    ownPassword({ sessionId }, check) {
      const wanted = [limits.deviceFailures(sessionId)];
      return limited(wanted, check, { INVALID_CREDENTIALS: wanted });
    },

    async forgive(tx, userId) {
      const { logins, sessionIds } = await tx.users.findLogins(userId);
      const forgiven = [...logins.map(limits.accountFailures), ...sessionIds.map(limits.deviceFailures)];
      const keys = forgiven.map(({ key }) => key);
      await tx.throttle.forget(keys);
      return () => keys.forEach(reached.forget);
    },

    guess(context, check) {
      const wanted = limits.addressFailures(context);
      return wanted.length > 0 ? limited(wanted, check, { INVALID_TOKEN: wanted }) : check(NOT_COUNTED);
    },

    signUp(emailKey, context, make) {
      const signUps = limits.addressSignUps(context);
      const wanted = [...signUps, ...limits.mails(emailKey, context)];
      const work = ({ isWithinOptional }: Count) => make(isWithinOptional);
      return limited(wanted, work, { EMAIL_TAKEN: wanted, USERNAME_TAKEN: signUps });
    },

    mail(emailKey, context, send) {
      return limited(limits.mails(emailKey, context), ({ isWithinOptional }) => send(isWithinOptional), {});
    },
  };
}

/** What a limit is remembered by: only the database knows whether one of strangers holds for a device, so by that too. */
function nameOf({ key, ofKnownDevice }: Limit, device: Device | null): string {
  return device && ofKnownDevice === false ? `${key} ${device.sessionId} ${device.login}` : key;
}

const UNLIMITED: Throttle = {
  refuseKnown: { signIn: async () => {}, signUp: async () => {} },
  signIn: (_attempt, _context, check) => check(NOT_COUNTED),
  ownPassword: (_caller, check) => check(NOT_COUNTED),
  forgive: async () => () => {},
  guess: (_context, check) => check(NOT_COUNTED),
  signUp: (_emailKey, _context, make) => make(true),
  mail: (_emailKey, _context, send) => send(true),
};
