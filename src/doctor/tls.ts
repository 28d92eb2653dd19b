import { type Clock, now } from "../clock.ts";
import { type Config, ConfigError } from "../config.ts";
import { isNearEnd, readIdentity } from "../tls-files.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";

const DAY = 86_400_000;

/** Reads the files of TLS as the listeners would. */
export async function checkTls({ tls }: Config, clock: Clock): Promise<Verdict> {
  if (!tls) return ok("none: both ports speak plain text");
  try {
    const identity = await readIdentity(tls);
    const days = Math.floor((identity.validTo.getTime() - now(clock)) / DAY);
    const finding = `the certificate ends on ${identity.validTo.toISOString().slice(0, 10)}, in ${days} days`;
    return isNearEnd(identity, now(clock))
      ? warning(finding, "Renew it; a running service takes the new files by itself.")
      : ok(finding);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return failed("the files cannot be served", ...error.faults);
  }
}
