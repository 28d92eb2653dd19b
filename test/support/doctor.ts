import { createClock } from "../../src/clock.ts";
import { parseConfig } from "../../src/config.ts";
import { diagnose } from "../../src/doctor/doctor.ts";
import { SECRET_KEY } from "./service.ts";

/** Settings by their names. */
export type Settings = Readonly<Record<string, string>>;

/** A check as the report has it. */
export interface Found {
  readonly name: string;
  readonly status: string;
  readonly finding: string;
  readonly advice?: readonly string[];
}

/** Settings of an installation on a database, quick to examine. */
export function settingsOn(database: { readonly url: string }): Settings {
  const ports = { HTTP_PORT: "0", GRPC_PORT: "0", METRICS_PORT: "0" };
  return { DATABASE_URL: database.url, SECRET_KEY, BCRYPT_COST: "10", ...ports };
}

/**
 * What the doctor finds in this process, by the names of the checks, on a clock that is ahead by so many milliseconds. It
 * measures hashes of a cost that takes no time.
 */
export async function examine(settings: Settings, ahead = 0): Promise<Readonly<Record<string, Found>>> {
  const clock = createClock();
  clock.offset = ahead;
  const checks = await diagnose(() => ({ ...parseConfig(settings), bcryptCost: 4 }), clock);
  return Object.fromEntries(checks.map((check) => [check.name, check]));
}

/** The findings of one status, by the names of the checks. */
export function namesOf(found: Readonly<Record<string, Found>>, status: string): string[] {
  return Object.values(found)
    .filter((check) => check.status === status)
    .map(({ name }) => name);
}
