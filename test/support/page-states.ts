import { HIDDEN_CALLS } from "./disclosure.ts";
import {
  confirmByPage,
  confirmContested,
  fillIn,
  followMail,
  openConfirmation,
  openMail,
  openReset,
  press,
  readMarkup,
  signUp,
  type Visitor,
} from "./page-visits.ts";
import { PASSWORD, signIn, signUpConfirmed } from "./people.ts";
import { startService } from "./service.ts";

/** A page as people come to it: its name, its heading and the way there. */
export type PageState = readonly [name: string, heading: string, reach: (visitor: Visitor) => Promise<unknown>];

const goTo = (path: string) => (visitor: Visitor) => visitor.page.goto(path);

const sendFrom = (path: string, text: string) => async (visitor: Visitor) => {
  await visitor.page.goto(path);
  await fillIn(visitor, text);
};

const chooseRefused = (password: string) => async (visitor: Visitor) => {
  await openReset(visitor);
  await fillIn(visitor, password);
};

/** The mailbox, and one of its mails. */
export const MAILBOX_STATES: readonly PageState[] = [
  [
    "mailbox",
    "Development mailbox",
    async (visitor) => [await signUp(visitor), await visitor.page.goto("/dev/mailbox")],
  ],
  ["mailbox without mails", "Development mailbox", goTo("/dev/mailbox?to=nobody%40example.com")],
  ["mail", "Confirm your email address", async (visitor) => openMail(visitor, (await signUp(visitor)).email)],
];

/** The mails by themselves. */
export const MAIL_STATES: readonly PageState[] = [
  [
    "confirmation mail",
    "Confirm your email address",
    async (visitor) => readMarkup(visitor, (await signUp(visitor)).email),
  ],
  ["reset mail", "Choose a new password", async (visitor) => readMarkup(visitor, (await openReset(visitor)).email, 2)],
  [
    "choose-password mail",
    "Choose a password for your account",
    async (visitor) => readMarkup(visitor, (await confirmContested(visitor)).email, 3),
  ],
  [
    "password-changed mail",
    "Your password was changed",
    async (visitor) => {
      const person = await signUpConfirmed(visitor.service);
      const { options } = await signIn(visitor.service, person);
      const passwords = { currentPassword: PASSWORD, newPassword: "a password of my own" };
      await visitor.service.auth.changePassword(passwords, options);
      await readMarkup(visitor, person.email, 2);
    },
  ],
  ["address-in-use mail", "You already have an account", readHidden("a sign-up")],
  ["already-confirmed mail", "Your email address is already confirmed", readHidden("a request for a confirmation")],
];

/** Has a mail sent by a call that tells nobody but the holder of an address. */
function readHidden(call: keyof typeof HIDDEN_CALLS): PageState[2] {
  return async (visitor) => {
    const { database, mails } = visitor.service;
    const { email } = await signUpConfirmed(visitor.service);
    const hidden = await startService({ database, mails, config: { accountDisclosure: "hidden" } });
    try {
      await HIDDEN_CALLS[call].make(hidden, email);
      await readMarkup(visitor, email, 2);
    } finally {
      await hidden.stop();
    }
  };
}

/** The pages that confirm an address. */
export const CONFIRMATION_STATES: readonly PageState[] = [
  ["confirm", "Confirm your email address", openConfirmation],
  ["confirmed", "Email confirmed", confirmByPage],
  [
    "confirmed before",
    "Already confirmed",
    async (visitor) => {
      const { email } = await confirmByPage(visitor);
      await followMail(visitor, email);
      await press(visitor);
    },
  ],
  [
    "confirmation refused",
    "This link does not work",
    async (visitor) => [await visitor.page.goto("/account/confirm/wrong"), await press(visitor)],
  ],
  ["ask for confirmation", "Confirm your email address", goTo("/account/confirm")],
  ["ask for confirmation, refused", "Confirm your email address", sendFrom("/account/confirm", "ada@localhost")],
  ["confirmation sent", "Check your email", sendFrom("/account/confirm", "nobody@example.com")],
];

/** The pages that choose a password. */
export const PASSWORD_STATES: readonly PageState[] = [
  ["reset", "Choose a new password", openReset],
  ["reset refused, too common", "Choose a new password", chooseRefused("12345678")],
  ["contested", "Choose a password", confirmContested],
  [
    "contested refused",
    "Choose a password",
    async (visitor) => [await confirmContested(visitor), await fillIn(visitor, "12345678")],
  ],
  [
    "password chosen",
    "Password changed",
    async (visitor) => [await openReset(visitor), await fillIn(visitor, "a password of my own")],
  ],
  ["reset link refused", "This link does not work", sendFrom("/account/reset/wrong", "a password of my own")],
  ["ask for reset", "Reset your password", goTo("/account/reset")],
  ["reset sent", "Check your email", sendFrom("/account/reset", "nobody@example.com")],
];
