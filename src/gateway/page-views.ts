import { type Html, html } from "../html.ts";
import type { View } from "./page-layout.ts";
import type { Refusal, Violation } from "./refusals.ts";

/** The two things that a mailed link is for. */
export type Flow = "confirm" | "reset";

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
    choosePassword: (token: string, error?: string): View => ({
      title: "Choose a new password",
      body: html`<p>You will be signed out on every device, and sign in with the new password from then on.</p>${passwordForm(token, error)}`,
    }),
    contested: (token: string): View => ({
      title: "Choose a password",
      body: html`<p>Your email address is confirmed. Somebody else had signed up with it too, so no earlier password works: choose a new one to sign in.</p>${passwordForm(token)}`,
    }),
    request: (flow: Flow, email?: string, error?: string): View => ({
      title: flow === "confirm" ? "Confirm your email address" : "Reset your password",
      body: html`<p>${REQUEST_TEXT[flow]}</p>${emailForm(flow, email, error)}`,
    }),
    alreadyConfirmed: {
      title: "Already confirmed",
      body: html`<p>This email address has been confirmed before. You can sign in.</p>
<p>If your password does not work, <a href="${settings.basePath}/account/reset">choose a new one</a>.</p>`,
    },
    badLink: (flow: Flow): View => ({
      title: "This link does not work",
      body: html`<p>It may be incomplete, too old or already used, or a newer mail has replaced it. Have a new one sent to you:</p>${emailForm(flow)}`,
    }),
  };
}

function createForms({ basePath, passwordMinLength }: FormSettings) {
  const confirmForm = (token: string) => html`<form method="post" action="${basePath}/account/confirm">
<input type="hidden" name="token" value="${token}">
<button type="submit">Confirm email</button>
</form>`;

  const passwordForm = (token: string, error?: string) => html`<form method="post" action="${basePath}/account/reset">
<input type="hidden" name="token" value="${token}">
${alert(error)}
<label for="new_password">New password</label>
<input id="new_password" name="new_password" type="password" autocomplete="new-password" required${invalid(error)} aria-describedby="password-hint${error && " error"}">
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

const REQUEST_TEXT: Record<Flow, string> = {
  confirm: "Enter the address that you signed up with, and we send a new link to confirm it.",
  reset: "Enter the address of your account, and we send a link to choose a new password.",
};

/** Pages that say how something went. */
export const OUTCOMES = {
  confirmed: outcome("Email confirmed", "Thank you. You can sign in now."),
  confirmedCheckMail: outcome("Email confirmed", "Check your email to choose a password."),
  passwordSet: outcome("Password changed", "Every device has been signed out. Sign in with your new password now."),
  mailSent: outcome(
    "Check your email",
    "If the address belongs to an account, a mail with a link is on its way. It can take a minute; look into the spam folder too.",
  ),
} as const;

/** The page for a refusal that is not the caller's doing; the form lets them try again without the mail. */
export function problemView({ status }: Refusal, retry?: Html): View {
  if ([429, 503, 504].includes(status)) {
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

function alert(error: string | undefined): Html | undefined {
  return error === undefined ? undefined : html`<p class="error" id="error" role="alert">${error}</p>`;
}

function invalid(error: string | undefined): Html | undefined {
  return error === undefined ? undefined : html` aria-invalid="true"`;
}
