import type { Page } from "playwright-core";
import type { Visit } from "./browser.ts";
import { newPerson, readMail, signUpConfirmed } from "./people.ts";
import type { TestService } from "./service.ts";

/** Somebody before a browser, and the service that the browser reaches. */
export interface Visitor extends Visit {
  readonly service: TestService;
}

/** Signs somebody up, and gives what they would type. */
export async function signUp({ service }: Visitor, person = newPerson()) {
  await service.auth.signUp(person);
  return person;
}

/** Opens the newest mail's link, and gives its token; `count` is how many mails must have come. */
export async function followMail({ service, page }: Visitor, email: string, count = 1): Promise<string> {
  const { kind, token } = await readMail(service, email, count);
  await page.goto(`/account/${kind}/${token}`);
  return token;
}

/** Presses the page's one button, and waits for what comes of it. */
export async function press({ page }: Visitor): Promise<void> {
  await sendBy(page, () => page.getByRole("button").click());
}

/** Does what leads to another page, and waits for all of that. */
export async function sendBy(page: Page, send: () => Promise<void>): Promise<void> {
  await Promise.all([page.waitForEvent("load"), send()]);
}

/** Types into the page's one field, in place of what is there, and presses its one button. */
export async function fillIn(visitor: Visitor, text: string): Promise<void> {
  await visitor.page.locator("input:not([type=hidden], [readonly])").fill(text);
  await press(visitor);
}

/** Signs somebody up, and opens the link of the confirmation mail. */
export async function openConfirmation(visitor: Visitor) {
  const person = await signUp(visitor);
  return { ...person, token: await followMail(visitor, person.email) };
}

/** Confirms a new account's address. */
export async function confirmByPage(visitor: Visitor) {
  const person = await openConfirmation(visitor);
  await press(visitor);
  return person;
}

/** Asks for a new password, and opens the link of the mail. */
export async function openReset(visitor: Visitor) {
  const person = await signUpConfirmed(visitor.service);
  await visitor.page.goto("/account/reset");
  await fillIn(visitor, person.email);
  return { ...person, token: await followMail(visitor, person.email, 2) };
}

/** Confirms an address that two people signed up with, each with a password of their own. */
export async function confirmContested(visitor: Visitor) {
  const { email } = await signUp(visitor);
  const rival = { ...newPerson(), email, password: "a planted password" };
  await signUp(visitor, rival).catch(() => {});
  await followMail(visitor, email, 2);
  await press(visitor);
  return { email };
}

/** Finds the newest mail to an address in the mailbox, and opens it. */
export async function openMail({ page }: Visitor, email: string): Promise<void> {
  await page.goto("/dev/mailbox");
  await page.getByLabel("Recipient").fill(email);
  await sendBy(page, () => page.getByRole("button").click());
  await sendBy(page, () => page.locator("ol a").first().click());
}

/** Shows the newest mail to an address as a mail program does. */
export async function readMarkup({ service, page }: Visitor, email: string, count = 1): Promise<void> {
  const { html } = await readMail(service, email, count);
  await page.goto("about:blank");
  await page.setContent(html);
  // What is painted anyway, as mails name no colour of their own; axe takes it for white otherwise.
  await page.evaluate("document.documentElement.style.backgroundColor = 'Canvas'");
}
