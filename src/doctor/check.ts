import { messageOf } from "../failure.ts";

/** `skipped`: it could not be looked at, for what another check found. */
export type Status = "ok" | "warning" | "failed" | "skipped";

/** What was found, in one line, and what to do about it, a line each; none for what is ok or skipped. */
export interface Verdict {
  readonly status: Status;
  readonly finding: string;
  readonly advice?: readonly string[];
}

/** A verdict and what it is on. */
export interface Check extends Verdict {
  readonly name: CheckName;
}

/** Every check, in the order in which they are told. */
export const CHECK_NAMES = [
  ...["settings", "database", "clock", "migrations", "keys", "smtp", "outbox", "tls", "grpc-port", "http-port"],
  ...["metrics-port", "hashing"],
] as const;
/** The name of a check. */
export type CheckName = (typeof CHECK_NAMES)[number];

/** What each kind of finding reads like. */
export const ok = (finding: string): Verdict => ({ status: "ok", finding });
export const warning = (finding: string, ...advice: string[]): Verdict => ({ status: "warning", finding, advice });
export const failed = (finding: string, ...advice: string[]): Verdict => ({ status: "failed", finding, advice });
export const skipped = (finding: string): Verdict => ({ status: "skipped", finding });

/** Carries a check out. One that throws has failed. */
export async function check(name: CheckName, run: () => Verdict | Promise<Verdict>): Promise<Check> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    return { name, ...failed(firstLine(error), "The check itself failed: see whether another tells why.") };
  }
}

const MAX_TEXT = 500;

/** What an error says, in one line that a terminal only shows. */
export function firstLine(error: unknown): string {
  return (messageOf(error).split("\n", 1)[0] ?? "").replace(/\p{Cc}/gu, " ").slice(0, MAX_TEXT);
}
