import { ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Config, parseConfig } from "../../src/config.ts";
import { refusalOf } from "./people.ts";
import type { TestService } from "./service.ts";

/**
 * The limits as they are unless the settings say otherwise: other tests have none. The wait after failures is ten times
 * as long, so that a slow machine does not sit it out; whoever calls may say from where by `from`.
 */
export function limited(settings: Readonly<Record<string, string>> = {}): Partial<Config> {
  const { rateLimits } = parseConfig({ FAILURE_DELAY: "10s", FAILURE_DELAY_MAX: "600s", ...settings });
  return { rateLimits, trustedProxies: ["127.0.0.1"] };
}

/** Options of a call, as far as the tests of limits need them. */
export interface From {
  readonly headers: Record<string, string>;
}

/** Options of a call that a trusted proxy makes for somebody at an address. */
export const from = (address: string): From => ({ headers: { "x-forwarded-for": address } });

export const WRONG = "quite another password";

/** Gives so many wrong passwords for a login, one after the other; the reasons of the refusals. */
export async function fail(
  { auth }: Pick<TestService, "auth">,
  login: string,
  times = 1,
  { deviceToken = "", ...options }: Partial<From> & { readonly deviceToken?: string } = {},
): Promise<string[]> {
  const reasons: string[] = [];
  for (let time = 1; time <= times; time++)
    reasons.push(await refusalOf(auth.signIn({ login, password: WRONG, deviceToken }, options)));
  return reasons;
}

/** So many refusals for a wrong password. */
export const wrongs = (count: number): string[] => Array(count).fill("INVALID_CREDENTIALS");

/** The reasons of those calls that were neither refused by a limit nor for want of room. */
export const admitted = (reasons: readonly string[]): string[] =>
  reasons.filter((reason) => reason !== "RATE_LIMITED" && reason !== "OVERLOADED");

/** How long a call that was refused has to wait, in milliseconds; 0 for any other. */
export async function waitOf(call: Promise<unknown>): Promise<number> {
  const error = await call.then(
    () => null,
    (reason) => ConnectError.from(reason),
  );
  const delay = error?.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay ? Number(delay.seconds) * 1000 + delay.nanos / 1e6 : 0;
}

/** How often something is counted, under all keys that begin so. */
export async function countedOf({ database }: Pick<TestService, "database">, counter: string): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    "SELECT coalesce(sum(cardinality(counted_at)), 0)::int AS count FROM throttle WHERE key LIKE $1",
    `${counter}%`,
  );
  return row?.count ?? 0;
}
