import { createHmac, createSecretKey } from "node:crypto";
import { networkOf } from "../address-network.ts";
import type { Limit } from "../db/throttle.ts";
import type { Rate, RateLimits } from "../rate-limits.ts";
import type { CallContext } from "./call-context.ts";

/** What is counted: the beginning of a key. */
type Counter =
  | "account-failures"
  | "device-failures"
  | "address-failures"
  | "address-sign-ups"
  | "address-mails"
  | "recipient-mails"
  | "recipient-mail-burst";

/** Builds the limits that calls count under: of whom, by an HMAC, since the table must name nobody. */
export function createLimits(rates: RateLimits, identifierKey: Buffer) {
  const secret = createSecretKey(identifierKey);
  const limit = (counter: Counter, whom: string, rate: Rate): Limit => {
    const hidden = createHmac("sha256", secret).update(`${counter}\0${whom}`).digest("base64url");
    return { key: `${counter}:${hidden}`, ...rate };
  };
  const failures = (counter: Counter, whom: string): Limit => ({
    ...limit(counter, whom, rates.failuresPerAccount),
    delays: { free: rates.freeFailures, firstMs: rates.failureDelay, longestMs: rates.failureDelayMax },
  });
  // Of a service that says not for whom it calls, the address would count everybody as one.
  const ofAddress = (counter: Counter, rate: Rate, { address, addressIsPersons }: CallContext): Limit[] =>
    addressIsPersons ? [limit(counter, networkOf(address), rate)] : [];

  return {
    /** Wrong passwords for a login: the known and the unknown alike. */
    accountFailures: (login: string) => failures("account-failures", login),
    /** Wrong passwords from where a session of the account is known: strangers cannot use them up. */
    deviceFailures: (sessionId: string) => failures("device-failures", sessionId),
    addressFailures: (context: CallContext) => ofAddress("address-failures", rates.failuresPerAddress, context),
    addressSignUps: (context: CallContext) => ofAddress("address-sign-ups", rates.signUpsPerAddress, context),

    /** A mail to an address: what its holder gets stays bearable whoever asks. */
    mails: (emailKey: string, context: CallContext): Limit[] => [
      ...ofAddress("address-mails", rates.mailsPerAddress, context),
      { ...limit("recipient-mails", emailKey, rates.mailsPerRecipient), isOptional: true },
      { ...limit("recipient-mail-burst", emailKey, rates.mailBurstPerRecipient), isOptional: true },
    ],
  };
}
