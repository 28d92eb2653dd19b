import { FaultyValue, parseDuration, parseInteger } from "./setting-values.ts";

/** So many within any stretch of so many milliseconds. */
export interface Rate {
  readonly most: number;
  readonly perMs: number;
}

/** How often what can be guessed, flooded or mailed may be. */
export interface RateLimits {
  readonly failuresPerAccount: Rate;
  /** After so many failures the next check must wait, twice as long each time. */
  readonly freeFailures: number;
  readonly failureDelay: number;
  readonly failureDelayMax: number;
  readonly failuresPerAddress: Rate;
  readonly signUpsPerAddress: Rate;
  readonly mailsPerAddress: Rate;
  readonly mailsPerRecipient: Rate;
  readonly mailBurstPerRecipient: Rate;
}

/** The settings of limits with their defaults, as they would be written in the environment. */
export const RATE_LIMIT_DEFAULTS = {
  RATE_LIMITS: "on",
  FAILURES_PER_ACCOUNT: "20/15m",
  FREE_FAILURES: "5",
  FAILURE_DELAY: "1s",
  FAILURE_DELAY_MAX: "60s",
  FAILURES_PER_ADDRESS: "20/15m",
  SIGN_UPS_PER_ADDRESS: "10/1h",
  MAILS_PER_ADDRESS: "20/1h",
  MAILS_PER_RECIPIENT: "5/1h",
  MAIL_BURST_PER_RECIPIENT: "3/1m",
} as const;

/** Reads one of these settings. */
export type ReadLimit = <T>(name: keyof typeof RATE_LIMIT_DEFAULTS, parse: (text: string) => T) => T;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
/** Each time that is counted is kept while its stretch lasts. */
const MAX_COUNT = 1000;

/** Reads the limits; null: none are in force. Guessing stays slow whatever is set. */
export function parseRateLimits(read: ReadLimit, production: boolean): RateLimits | null {
  const rate = (name: keyof typeof RATE_LIMIT_DEFAULTS, most = MAX_COUNT, leastMs = SECOND) =>
    read(name, parseRate(most, leastMs));
  const isOn = read("RATE_LIMITS", parseSwitch(production));
  const limits: RateLimits = {
    failuresPerAccount: rate("FAILURES_PER_ACCOUNT", 100, MINUTE),
    freeFailures: read("FREE_FAILURES", parseInteger(1, 100)),
    failureDelay: read("FAILURE_DELAY", parseDuration(100, MINUTE)),
    failureDelayMax: read("FAILURE_DELAY_MAX", parseDuration(SECOND, 60 * MINUTE)),
    failuresPerAddress: rate("FAILURES_PER_ADDRESS", MAX_COUNT, MINUTE),
    signUpsPerAddress: rate("SIGN_UPS_PER_ADDRESS"),
    mailsPerAddress: rate("MAILS_PER_ADDRESS"),
    mailsPerRecipient: rate("MAILS_PER_RECIPIENT", 100, MINUTE),
    mailBurstPerRecipient: rate("MAIL_BURST_PER_RECIPIENT", 100),
  };
  return isOn ? limits : null;
}

/** Settings that are each in order, but not together. */
export function contradictionsOfLimits(limits: RateLimits | null): string[] {
  if (!limits) return [];
  const { failuresPerAccount, freeFailures, failureDelay, failureDelayMax } = limits;
  return [
    ...(freeFailures > failuresPerAccount.most ? ["FREE_FAILURES is more than FAILURES_PER_ACCOUNT allows"] : []),
    ...(failureDelay > failureDelayMax ? ["FAILURE_DELAY is longer than FAILURE_DELAY_MAX"] : []),
  ];
}

function parseSwitch(production: boolean): (text: string) => boolean {
  return (text) => {
    if (text !== "on" && text !== "off") throw new FaultyValue("must be on or off");
    if (text === "off" && production) throw new FaultyValue("must be on in production");
    return text === "on";
  };
}

function parseRate(most: number, leastMs: number): (text: string) => Rate {
  return (text) => {
    const [, count, stretch] = /^(\d+)\/(\w+)$/.exec(text) ?? [];
    if (count === undefined || stretch === undefined)
      throw new FaultyValue("must be a number and a duration, such as 20/15m");
    return { most: parseInteger(1, most)(count), perMs: parseDuration(leastMs, DAY)(stretch) };
  };
}
