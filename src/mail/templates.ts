import type { MailTemplate } from "../db/mails.ts";
import { type MailContent, mailHtml, mailText } from "./mail-layout.ts";

/** What a mail's text is made from. */
export interface MailData {
  readonly username: string;
  /** Without a slash at its end: the only source of links. */
  readonly publicUrl: string;
  /** null in a mail that has none. */
  readonly token: string | null;
  /** The 6-digit code; null in a mail that has none. */
  readonly code: string | null;
}

/** A mail that is ready to be sent. */
export interface RenderedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly link: string;
}

type Wording = Pick<MailContent, "subject" | "request" | "action" | "linkValidity" | "otherwise"> & {
  readonly path: string;
};

const WORDINGS: Record<MailTemplate, Wording> = {
  "confirm-email": {
    path: "/account/confirm",
    subject: "Confirm your email address",
    request: "Please confirm that this email address is yours:",
    action: "Confirm email",
    linkValidity: "The link is valid for 24 hours.",
    otherwise: "If this was not you, ignore this mail: the address stays unconfirmed, and nobody can sign in with it.",
  },
  "reset-password": {
    path: "/account/reset",
    subject: "Choose a new password",
    request: "You asked for a new password. Choose it here:",
    action: "Choose a new password",
    linkValidity: "The link is valid for 30 minutes and works once.",
    otherwise: "If this was not you, ignore this mail: your password stays as it is.",
  },
  "choose-password": {
    path: "/account/reset",
    subject: "Choose a password for your account",
    request:
      "Your email address is confirmed. Somebody else had signed up with it too, so no earlier password works. Choose a new one here:",
    action: "Choose a password",
    linkValidity: "The link is valid for 30 minutes and works once.",
    otherwise: "If this was not you, ignore this mail: nobody can sign in until a password is chosen with this link.",
  },
  "password-changed": {
    path: "/account/reset",
    subject: "Your password was changed",
    request:
      "The password of your account was changed, and every other device was signed out. If this was not you, choose a new password at once:",
    action: "Choose a new password",
    linkValidity: "You will be asked for your email address, and mailed a link.",
    otherwise: "If this was you, there is nothing to do.",
  },
  "address-in-use": {
    path: "/account/reset",
    subject: "You already have an account",
    request:
      "Somebody tried to sign up with your email address, which belongs to your account. If it was you, sign in to the account you have. Should you have forgotten its password, choose a new one here:",
    action: "Choose a new password",
    linkValidity: "You will be asked for your email address, and mailed a link.",
    otherwise: "If this was not you, ignore this mail: no account was made, and yours is as it was.",
  },
  "already-confirmed": {
    path: "/account/reset",
    subject: "Your email address is already confirmed",
    request:
      "Somebody asked to confirm your email address once more. It is confirmed, and you can sign in. Should you have forgotten your password, choose a new one here:",
    action: "Choose a new password",
    linkValidity: "You will be asked for your email address, and mailed a link.",
    otherwise: "If this was not you, ignore this mail: nothing has changed.",
  },
};

const MAX_NAME = 64;

/** Writes a mail as text and as HTML. */
export function renderMail(template: MailTemplate, { username, publicUrl, token, code }: MailData): RenderedMail {
  const { path, ...wording } = WORDINGS[template];
  const link = `${publicUrl}${path}${token === null ? "" : `/${encodeURIComponent(token)}`}`;
  const name = oneLine(username);
  const content = { ...wording, name, link, code, codeValidity: "The code is valid for 10 minutes." };
  return { subject: wording.subject, text: mailText(content), html: mailHtml(content), link };
}

// Line breaks could forge a line of the mail, direction marks could turn one round.
function oneLine(name: string): string {
  const visible = name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "").trim();
  return [...visible].slice(0, MAX_NAME).join("");
}
