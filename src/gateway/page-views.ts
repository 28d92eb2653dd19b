import { type Html, html } from "../html.ts";
import type { Violation } from "../wire/error-details.ts";
import type { View } from "./page-layout.ts";
import type { Refusal } from "./refusals.ts";

/** The two things that a mailed link is for. */
export type Flow = "confirm" | "reset";

/** What else is known as a password is chosen: the account's address, and why the last choice was refused. */
export interface Choice {
  readonly email?: string;
  readonly error?: string;
}

/** What the forms of the pages need to know. */
export interface FormSettings {
  /** Path under which browsers see the service. */
  readonly basePath: string;
  readonly passwordMinLength: number;
}

/** The pages under /account/, as functions of what they show, and the forms in them. */
export function createViews(settings: FormSettings) {
  const forms = createForms(settings);
  const { confirmForm, passwordForm, emailForm } = forms;
  return {
    ...forms,
    confirm: (token: string): View => ({
      title: "Confirm your email address",
      body: html`<p>Press the button to confirm that this address is yours.</p>${confirmForm(token)}`,
    }),
    choosePassword: (token: string, more: Choice = {}): View => ({
      title: more.email ? "Choose a password" : "Choose a new password",
      body: html`<p>${choiceText(more)}</p>${passwordForm(token, more)}`,
    }),
    contested: (token: string, email: string): View => ({
      title: "Choose a password",
      body: html`<p>Your email address <strong>${email}</strong> is confirmed. Somebody else had signed up with it too, so no earlier password works: choose a new one to sign in.</p>${passwordForm(token, { email })}`,
    }),
    request: (flow: Flow, email?: string, error?: string): View => ({
      title: flow === "confirm" ? "Confirm your email address" : "Reset your password",
      body: html`<p>${REQUEST_TEXT[flow]}</p>${emailForm(flow, email, error)}`,
    }),
    mailSent: (flow: Flow): View => ({
      title: "Check your email",
      body: html`<p>If the address belongs to an account, a mail with a link is on its way. It can take a minute; look into the spam folder too.</p>
<p>Nothing there? <a href="${settings.basePath}/account/${flow}">Check the address and ask again</a>.</p>`,
    }),
    alreadyConfirmed: {
      title: "Already confirmed",
      done: true,
      body: html`<p>This email address has been confirmed before. You can sign in.</p>
<p>If your password does not work, <a href="${settings.basePath}/account/reset">choose a new one</a>.</p>`,
    },
    badLink: (flow: Flow): View => ({
      title: "This link does not work",
      body: html`<p>It may be incomplete, too old or already used, or a newer mail has replaced it. You can have a new one sent to you:</p>${emailForm(flow)}`,
    }),
  };
}

function createForms({ basePath, passwordMinLength }: FormSettings) {
  const confirmForm = (token: string) => html`<form method="post" action="${basePath}/account/confirm">
<input type="hidden" name="token" value="${token}">
<button type="submit">Confirm email</button>
</form>`;

  // Password managers look for the account's name beside a new password; only a confirmation knows it.
  const passwordForm = (
    token: string,
    { email = "", error }: Choice = {},
  ) => html`<form method="post" action="${basePath}/account/reset">
<input type="hidden" name="token" value="${token}">
<input type="text"${email && html` name="email"`} value="${email}" autocomplete="username" readonly hidden>
${alert(error)}
<label for="new_password">New password</label>
<input id="new_password" name="new_password" type="password" autocomplete="new-password" minlength="${passwordMinLength}" required${invalid(error)} aria-describedby="password-hint${error && " error"}">
<p class="hint" id="password-hint">At least ${passwordMinLength} characters. A few unrelated words make a good password.</p>
<button type="submit">Set password</button>
</form>`;

  const emailForm = (
    flow: Flow,
    email = "",
    error?: string,
  ) => html`<form method="post" action="${basePath}/account/${flow}/request">
${alert(error)}
<label for="email">Email address</label>
<input id="email" name="email" type="email" autocomplete="email" required value="${email}"${invalid(error)}${error && html` aria-describedby="error"`}>
<button type="submit">Send a new link</button>
</form>`;

  return { confirmForm, passwordForm, emailForm };
}

function choiceText({ email }: Choice): Html {
  return email
    ? html`This will be the password of <strong>${email}</strong>.`
    : html`You will be signed out on every device, and sign in with the new password from then on.`;
}

const REQUEST_TEXT: Record<Flow, string> = {
  confirm: "Enter the address that you signed up with, and we send a new link to confirm it.",
  reset: "Enter the address of your account, and we send a link to choose a new password.",
};

/** Pages that say how something went. */
export const OUTCOMES = {
  confirmed: done("Email confirmed", "Thank you. You can close this page and sign in."),
  confirmedCheckMail: done("Email confirmed", "Check your email to choose a password."),
  passwordSet: done(
    "Password changed",
    "Every device has been signed out. You can close this page and sign in with your new password.",
  ),
} as const;

/** The page for a refusal that is not the caller's doing; the form lets them try again without the mail. */
export function problemView({ status }: Refusal, retry?: Html): View {
  if (status === 429)
    return { title: "Too many attempts", body: html`<p>Please wait a while, then try again.</p>${retry}` };
  if ([503, 504].includes(status)) {
    const title = "Try again in a moment";
    return {
      title,
      body: html`<p>The service is busy and could not do this just now. Please wait a moment, then try again.</p>${retry}`,
    };
  }
  if (status >= 500) return outcome("Something went wrong", "This is our fault, not yours. Please try again later.");
  return outcome("This form could not be read", "Please go back and send it again.");
}

/** Says in words why a new password was refused. */
export function passwordFault({ reason, description }: Violation): string {
  return PASSWORD_FAULTS[reason] ?? `The password ${description}.`;
}

const PASSWORD_FAULTS: Readonly<Record<string, string>> = {
  REQUIRED: "Enter a new password.",
  PASSWORD_TOO_COMMON: "This password is one of the most common ones and easily guessed. Choose another.",
  PASSWORD_LIKE_ACCOUNT: "The password must not be your username or email address. Choose another.",
};

function outcome(title: string, text: string): View {
  return { title, body: html`<p>${text}</p>` };
}

function done(title: string, text: string): View {
  return { ...outcome(title, text), done: true };
}

function alert(error: string | undefined): Html | undefined {
  return error === undefined ? undefined : html`<p class="error" id="error" role="alert">${error}</p>`;
}

function invalid(error: string | undefined): Html | undefined {
  return error === undefined ? undefined : html` aria-invalid="true" autofocus`;
}
