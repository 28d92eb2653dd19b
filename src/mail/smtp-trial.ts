import { createTransport } from "nodemailer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { Secret } from "../secret.ts";
import { SMTP_TIMEOUTS, WHOLE_MAIL_MS } from "./smtp.ts";

/** Why a server would take no mail. */
export type SmtpTrouble = "unreachable" | "silent" | "untrusted" | "login-refused" | "refused";

/** How a server took a connection that could have sent a mail. */
export interface SmtpTrial {
  /** Host and port. */
  readonly address: string;
  readonly isEncrypted: boolean;
  /** null: SMTP_URL names no user. */
  readonly isSignedIn: boolean | null;
  /** The code is the system's or the server's; its words are not told, which may repeat what it was sent. */
  readonly trouble: { readonly kind: SmtpTrouble; readonly code: string } | null;
}

interface SmtpError {
  readonly code?: string | undefined;
  /** What the system said, where `code` is the library's word. */
  readonly originalCode?: string | undefined;
  readonly responseCode?: number | undefined;
}

/** Connects, encrypts and signs in as for a mail, and leaves without one; within the time of a mail. */
export async function trySmtp(url: Secret): Promise<SmtpTrial> {
  const { auth, ...options } = createTransport({ url: url.reveal() }).options;
  const connection = new SMTPConnection({ ...options, ...SMTP_TIMEOUTS, socketCloseTimeout: 0 });
  const { promise: ended, resolve: end } = Promise.withResolvers<SmtpError | null>();
  const timer = setTimeout(() => end({ code: "ETIMEDOUT" }), WHOLE_MAIL_MS);
  connection.on("error", (error: SmtpError) => end(error));
  connection.once("end", () => end({ code: "ECONNECTION" }));
  connection.connect((error) => {
    if (error || !auth || !connection.allowsAuth) return end(error ?? null);
    connection.login({ credentials: { user: auth.user ?? "", pass: auth.pass ?? "" } }, (refusal) =>
      end(refusal ?? null),
    );
  });
  const failure = await ended;
  clearTimeout(timer);
  const { host, port, secure, authenticated } = connection;
  if (failure) connection.close();
  else connection.quit();
  return {
    address: `${host}:${port}`,
    isEncrypted: secure,
    isSignedIn: auth ? authenticated : null,
    trouble: failure && {
      kind: kindOf(failure),
      code: String(failure.responseCode || failure.originalCode || failure.code),
    },
  };
}

const UNTRUSTED = /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO|SSL|TLS/;

function kindOf({ code = "", originalCode = "", responseCode }: SmtpError): SmtpTrouble {
  if (code === "EAUTH") return "login-refused";
  if (responseCode) return "refused";
  if (code === "ETLS" || UNTRUSTED.test(originalCode)) return "untrusted";
  return code === "ETIMEDOUT" ? "silent" : "unreachable";
}
