import { FAR_MS } from "../auth/database-clock.ts";
import { ok, type Verdict, warning } from "./check.ts";
import type { OpenDatabase } from "./database.ts";

/** Judges this machine's clock by the database's, by which the service goes. */
export function judgeClock({ aheadMs }: OpenDatabase): Verdict {
  const off = Math.abs(aheadMs);
  const finding = `${printSpan(off)} ${aheadMs > 0 ? "behind" : "ahead of"} the database's`;
  if (off <= FAR_MS) return ok(finding);
  return warning(
    finding,
    "Nobody is refused for it here; the log, and services on this machine that check tokens, go by this one.",
    "Have both machines keep time by NTP.",
  );
}

function printSpan(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
