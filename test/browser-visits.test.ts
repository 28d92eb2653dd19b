import { expect } from "chai";
import { refusal } from "../src/rpc/reasons.ts";
import { startBrowser, type TestBrowser } from "./support/browser.ts";
import { startFakeGateway } from "./support/fake-gateway.ts";
import { send } from "./support/http.ts";
import {
  confirmContested,
  fillIn,
  followMail,
  openConfirmation,
  openMail,
  openReset,
  press,
  sendBy,
  signUp,
  type Visitor,
} from "./support/page-visits.ts";
import { PASSWORD, refusalOf } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";

const NEW_PASSWORD = "a password of my own";

describe("in a browser", () => {
  let service: TestService;
  let browser: TestBrowser | undefined;
  before(async function () {
    service = await startService();
    browser = await startBrowser(this, service);
  });
  after(async () => {
    await browser?.close();
    await service.stop();
  });

  const arrive = async (...options: Parameters<TestBrowser["visit"]>): Promise<Visitor> => {
    const visit = (await browser?.visit(...options)) ?? expect.fail();
    return { ...visit, service };
  };
  const expectHeading = async ({ page, faults }: Visitor, heading: string) => {
    expect(await page.getByRole("heading", { level: 1 }).textContent()).to.equal(heading);
    expect(faults).to.deep.equal([]);
  };
  const signInAs = (login: string, password = PASSWORD) => refusalOf(service.auth.signIn({ login, password }));
  const focused = ({ page }: Visitor) =>
    page.evaluate<[string, string]>(
      "[document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]",
    );

  for (const javaScriptEnabled of [true, false]) {
    describe(`with JavaScript ${javaScriptEnabled ? "on" : "off"}`, () => {
      let visitor: Visitor;
      beforeEach(async () => {
        visitor = await arrive({ javaScriptEnabled });
      });
      afterEach(() => visitor.context.close());

      it("mail scanners change nothing, a click confirms, and a second one says that it is done already", async () => {
        const { page } = visitor;
        const { username, token } = await openConfirmation(visitor);
        for (const method of ["GET", "HEAD", "GET"])
          for (const accept of ["*/*", "text/html", "application/json"])
            await send(service, `/account/confirm/${token}`, { method, headers: { accept } });
        await page.reload();
        expect(await signInAs(username)).to.equal("EMAIL_NOT_CONFIRMED");
        await press(visitor);
        await expectHeading(visitor, "Email confirmed");
        expect(await signInAs(username)).to.equal("");
        await page.goBack();
        await press(visitor);
        await expectHeading(visitor, "Already confirmed");
      });

      it("a link that is too old leads to a new mail, and that to a confirmed address", async () => {
        const { username, email } = await openConfirmation(visitor);
        await passTime(service, 25 * 3_600_000);
        await press(visitor);
        await expectHeading(visitor, "This link does not work");
        await fillIn(visitor, email);
        await expectHeading(visitor, "Check your email");
        await followMail(visitor, email, 2);
        await press(visitor);
        await expectHeading(visitor, "Email confirmed");
        expect(await signInAs(username)).to.equal("");
      });

      it("a new password is asked for until it is a good one, and signs in", async () => {
        const { username } = await openReset(visitor);
        await fillIn(visitor, "12345678");
        await expectHeading(visitor, "Choose a new password");
        await fillIn(visitor, NEW_PASSWORD);
        await expectHeading(visitor, "Password changed");
        expect(await signInAs(username)).to.equal("INVALID_CREDENTIALS");
        expect(await signInAs(username, NEW_PASSWORD)).to.equal("");
      });

      it("the holder of a contested address chooses the password that signs in", async () => {
        const { email } = await confirmContested(visitor);
        await expectHeading(visitor, "Choose a password");
        await fillIn(visitor, "12345678");
        expect(await visitor.page.getByText(`the password of ${email}`).isVisible()).to.equal(true);
        await fillIn(visitor, NEW_PASSWORD);
        await expectHeading(visitor, "Password changed");
        expect(await signInAs(email, NEW_PASSWORD)).to.equal("");
      });

      it("the keyboard is enough: the focus is seen, and Enter sends", async () => {
        const { page } = visitor;
        await openConfirmation(visitor);
        await page.keyboard.press("Tab");
        expect(await focused(visitor)).to.deep.equal(["BUTTON", "solid"]);
        await sendBy(page, () => page.keyboard.press("Enter"));
        await expectHeading(visitor, "Email confirmed");
        await openReset(visitor);
        await page.keyboard.press("Tab");
        await page.keyboard.type("12345678");
        await sendBy(page, () => page.keyboard.press("Enter"));
        // A new page has its focus only when it is drawn.
        await waitUntil(async () => (await focused(visitor))[0] === "INPUT");
        expect(await focused(visitor)).to.deep.equal(["INPUT", "solid"]);
        await page.keyboard.type(NEW_PASSWORD);
        await page.keyboard.press("Tab");
        expect(await focused(visitor)).to.deep.equal(["BUTTON", "solid"]);
        await sendBy(page, () => page.keyboard.press("Enter"));
        await expectHeading(visitor, "Password changed");
      });

      it("the button of a mail opens the confirmation, which learns nothing of where it was opened", async () => {
        const { page, context } = visitor;
        const { email, username } = await signUp(visitor);
        await openMail(visitor, email);
        const opened = context.waitForEvent("page");
        await page.locator("iframe").click({ position: await buttonOfMail(visitor) });
        const tab = await opened;
        await tab.waitForLoadState();
        expect(await tab.evaluate("[document.referrer, opener]")).to.deep.equal(["", null]);
        await press({ ...visitor, page: tab });
        await expectHeading({ ...visitor, page: tab }, "Email confirmed");
        expect(await signInAs(username)).to.equal("");
      });
    });
  }

  it("a token is in no title, in no Referer and, once sent, not in the address", async () => {
    const visitor = await arrive();
    const { page, context } = visitor;
    const referrers: (string | undefined)[] = [];
    context.on("request", (request) => referrers.push(request.headers().referer));
    for (const [open, send] of [
      [openConfirmation, press],
      [openReset, (from: Visitor) => fillIn(from, NEW_PASSWORD)],
    ] as const) {
      const { token } = await open(visitor);
      expect(await page.title()).not.to.contain(token);
      await send(visitor);
      expect(`${page.url()} ${await page.title()} ${await page.content()}`).not.to.contain(token);
    }
    expect(new Set(referrers)).to.deep.equal(new Set([undefined]));
    await context.close();
  });

  it("password managers find the account's name, where it is known, and a new password", async () => {
    const visitor = await arrive();
    const fields = () =>
      visitor.page.evaluate<string[][]>(
        "[...document.querySelectorAll('form input:not([type=hidden])')].map((field) => [field.autocomplete, field.value])",
      );
    const { email } = await confirmContested(visitor);
    expect(await fields()).to.deep.equal([
      ["username", email],
      ["new-password", ""],
    ]);
    await openReset(visitor);
    expect((await fields()).map(([autocomplete]) => autocomplete)).to.deep.equal(["username", "new-password"]);
    await visitor.context.close();
  });

  it("a password that is too short is not even sent", async () => {
    const visitor = await arrive();
    const { token } = await openReset(visitor);
    await visitor.page.getByLabel("New password").fill("1234567");
    await visitor.page.getByRole("button").click();
    expect(visitor.page.url()).to.contain(token);
    expect(await visitor.page.evaluate("document.querySelector('[type=password]').validity.tooShort")).to.equal(true);
    await visitor.context.close();
  });

  it("a phone shows pages at its own width, with a button that a thumb hits", async () => {
    const visitor = await arrive({ isMobile: true, hasTouch: true, viewport: { width: 390, height: 844 } });
    await openConfirmation(visitor);
    expect(await visitor.page.evaluate("innerWidth")).to.equal(390);
    const button = visitor.page.getByRole("button");
    expect((await button.boundingBox())?.height).to.be.at.least(44);
    await sendBy(visitor.page, () => button.tap());
    await expectHeading(visitor, "Email confirmed");
    await visitor.context.close();
  });

  it("paper is white, also in dark rooms", async () => {
    const visitor = await arrive({ colorScheme: "dark" });
    await visitor.page.goto("/account/confirm");
    await visitor.page.emulateMedia({ media: "print", colorScheme: "dark" });
    const colours = "(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.body))";
    expect(await visitor.page.evaluate(colours)).to.deep.equal(["rgb(26, 29, 33)", "rgba(0, 0, 0, 0)"]);
    await visitor.context.close();
  });

  it("a busy service is tried again without the mail", async () => {
    const gateway = await startFakeGateway();
    const visitor = await arrive({ baseURL: `http://127.0.0.1:${gateway.port}` });
    gateway.fake.answer = () => {
      throw refusal("OVERLOADED", { retryAfterMs: 1000 });
    };
    await visitor.page.goto("/account/confirm/t");
    await press(visitor);
    await expectHeading(visitor, "Try again in a moment");
    gateway.fake.answer = () => ({});
    await press(visitor);
    await expectHeading(visitor, "Email confirmed");
    await visitor.context.close();
    gateway.close();
  });
});

/** Where the button of a mail is in the frame that shows it. */
async function buttonOfMail({ page }: Visitor): Promise<{ x: number; y: number }> {
  const [, frame] = page.frames();
  await frame?.waitForLoadState();
  const box = "(({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2 }))";
  const at = await frame?.evaluate<{ x: number; y: number }>(
    `${box}(document.querySelector("a").getBoundingClientRect())`,
  );
  return at ?? expect.fail("the mail is not shown");
}
