import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import { type SmtpTrial, type SmtpTrouble, trySmtp } from "../mail/smtp-trial.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";

/** Goes as far with the SMTP server as it can without a mail. */
export async function checkSmtp({ smtpUrl, publicUrl }: Config): Promise<Verdict> {
  if (!smtpUrl) return ok(`none: mails are shown at ${publicUrl}/dev/mailbox`);
  return judgeSmtp(await trySmtp(smtpUrl));
}

const TROUBLES: Readonly<Record<SmtpTrouble, readonly [finding: string, advice: string]>> = {
  unreachable: ["cannot be reached", "Check host and port of SMTP_URL, and that a firewall lets this machine out."],
  silent: ["does not answer", "Check port and protocol of SMTP_URL: smtps:// is for port 465, smtp:// for 587 and 25."],
  untrusted: [
    "gives no TLS that can be trusted",
    "Check the certificate, its names and its end, and the protocol of SMTP_URL: smtps:// is for port 465, smtp:// for others.",
  ],
  "login-refused": ["refuses user or password", "Check both in SMTP_URL, where % is written as %25 and @ as %40."],
  refused: ["refuses this machine", "Ask who runs it whether this machine may send, and under which name."],
};

function judgeSmtp({ address, trouble, isEncrypted, isSignedIn }: SmtpTrial): Verdict {
  if (trouble) {
    const [finding, advice] = TROUBLES[trouble.kind];
    return failed(`${address} ${finding} (${trouble.code})`, advice);
  }
  const finding = `${address} answers${isEncrypted ? ", by TLS" : ""}${isSignedIn ? ", signed in" : ""}`;
  if (isSignedIn === false)
    return warning(
      `${finding}, but asks for no password`,
      "Leave user and password out of SMTP_URL, or check its port.",
    );
  const isHere = /^(localhost|127\.|::1)/.test(address);
  return isEncrypted || isHere
    ? ok(finding)
    : warning(
        `${finding}, without TLS`,
        "Mails hold links that are as good as passwords: use smtps://, or a server with STARTTLS.",
      );
}

const LONG_WAIT_SECONDS = 300;

/** Looks whether mails get out. */
export async function checkOutbox(db: Database): Promise<Verdict> {
  const { waiting, oldestSeconds, givenUp } = await db.readOnly(({ outbox }) => outbox.backlog());
  const wait = waiting > 0 ? `, the oldest for ${Math.round(oldestSeconds)} s` : "";
  const finding = `${waiting} waiting${wait}; ${givenUp} given up in two days`;
  if (waiting > 0 && oldestSeconds > LONG_WAIT_SECONDS)
    return warning(
      finding,
      "They are sent while the service runs: see whether it does, and what `last_error` in table mails says.",
    );
  if (givenUp > 0)
    return warning(finding, "Their links expired before any try succeeded: see `last_error` in table mails.");
  return ok(finding);
}
