import { LEEWAY } from "../auth/access-token.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";
import type { OpenDatabase } from "./database.ts";

const WARN_MS = 2_000;
const FAIL_MS = LEEWAY * 1_000;

/** Judges this machine's clock by the database's, which dates everything. */
export function judgeClock({ aheadMs }: OpenDatabase): Verdict {
  const off = Math.abs(aheadMs);
  const finding = `${printSpan(off)} ${aheadMs > 0 ? "behind" : "ahead of"} the database's`;
  if (off <= WARN_MS) return ok(finding);
  const effect =
    aheadMs > 0
      ? `Access tokens are refused until they are as old as it is behind, but for ${LEEWAY} s.`
      : "Access tokens end sooner by as much.";
  const advice = [effect, "Have both machines keep time by NTP."];
  return off > FAIL_MS ? failed(finding, ...advice) : warning(finding, ...advice);
}

function printSpan(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
