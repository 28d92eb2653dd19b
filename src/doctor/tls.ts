import { type Clock, now } from "../clock.ts";
import { type Config, ConfigError } from "../config.ts";
import { readIdentity } from "../tls-files.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";

const DAY = 86_400_000;
const NEAR = 14 * DAY;

/** Reads the files of TLS as the listeners would. */
export async function checkTls({ tls }: Config, clock: Clock): Promise<Verdict> {
  if (!tls) return ok("none: both ports speak plain text");
  try {
    const { validFrom, validTo } = await readIdentity(tls);
    const left = validTo.getTime() - now(clock);
    const finding = `the certificate ends on ${validTo.toISOString().slice(0, 10)}, in ${Math.floor(left / DAY)} days`;
    // The running service warns by the same rule.
    return left < Math.min(NEAR, (validTo.getTime() - validFrom.getTime()) / 4)
      ? warning(finding, "Renew it; a running service takes the new files by itself.")
      : ok(finding);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return failed("the files cannot be served", ...error.faults);
  }
}
