import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { expect } from "chai";
import type { Page } from "playwright-core";
import { startBrowser, type TestBrowser } from "./support/browser.ts";
import {
  CONFIRMATION_STATES,
  MAIL_STATES,
  MAILBOX_STATES,
  PASSWORD_STATES,
  type PageState,
} from "./support/page-states.ts";
import type { Visitor } from "./support/page-visits.ts";
import { startService, type TestService } from "./support/service.ts";

// 320 pixels are 1280 at a zoom of 400 % (WCAG 2.2, 1.4.10).
const NARROWEST = { width: 320, height: 640 };
const SCREENS = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const SCHEMES = ["light", "dark"] as const;
const LOOKS = Object.entries(SCREENS).flatMap(([screen, size]) =>
  SCHEMES.map((colorScheme) => ({ screen, size, colorScheme })),
);
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
/** A folder that a picture of each page in each look is put into. */
const { SCREENSHOTS } = process.env;

describe("every page is accessible and fits phones and desktops, light and dark:", () => {
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

  for (const [title, states, rules] of [
    ["the mailbox", MAILBOX_STATES, [...WCAG, "best-practice"]],
    // Best practice asks for landmarks, which are the mail program's.
    ["mails", MAIL_STATES, WCAG],
    ["confirming", CONFIRMATION_STATES, [...WCAG, "best-practice"]],
    ["choosing a password", PASSWORD_STATES, [...WCAG, "best-practice"]],
  ] as const) {
    describe(title, () => {
      for (const state of states) {
        for (const javaScriptEnabled of [true, false]) {
          it(`${state[0]}, with JavaScript ${javaScriptEnabled ? "on" : "off"}`, async () => {
            const visit = (await browser?.visit({ javaScriptEnabled })) ?? expect.fail();
            await expectGood({ ...visit, service }, state, javaScriptEnabled ? rules : []);
            await visit.context.close();
          });
        }
      }
    });
  }
});

/** Checks a page in every look; axe, which is a script, only where scripts run. */
async function expectGood(visitor: Visitor, [name, heading, reach]: PageState, rules: readonly string[]) {
  const { page, faults } = visitor;
  await reach(visitor);
  expect(await page.getByRole("heading", { level: 1 }).textContent()).to.equal(heading);
  expect(faults).to.deep.equal([]);
  expect(await moving(page)).to.equal(0);
  for (const { screen, size, colorScheme } of LOOKS) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    expect(await overflow(page), `pixels beside the ${screen}'s screen`).to.equal(0);
    if (rules.length > 0) expect(await findFaults(page, rules), `${screen}, ${colorScheme}`).to.deep.equal([]);
    if (rules.length > 0 && SCREENSHOTS) await takePicture(page, SCREENSHOTS, `${name} ${screen} ${colorScheme}`);
  }
  await expectReflow(page);
}

function overflow(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
}

/** How many elements move: nobody has to ask for less motion. */
function moving(page: Page): Promise<number> {
  return page.evaluate(
    `[...document.querySelectorAll("*")].map((element) => getComputedStyle(element))
      .filter(({ transitionDuration, animationName }) => transitionDuration !== "0s" || animationName !== "none").length`,
  );
}

async function findFaults(page: Page, rules: readonly string[]): Promise<string[]> {
  // Legacy mode stays out of frames: no script can run in the one that shows a mail, which is tried by itself.
  const { violations } = await new AxeBuilder({ page })
    .withTags([...rules])
    .setLegacyMode()
    .analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

async function takePicture(page: Page, folder: string, name: string): Promise<void> {
  // What is beyond the screen is not painted in frames.
  const height = await page.evaluate<number>("document.documentElement.scrollHeight");
  await page.setViewportSize({ width: page.viewportSize()?.width ?? 0, height });
  await page.screenshot({ path: join(folder, `${name.replaceAll(/\W+/g, "-")}.png`) });
}

/** Nothing is cut off on the narrowest screen, nor on a phone by letters of twice the size. */
async function expectReflow(page: Page): Promise<void> {
  await page.setViewportSize(NARROWEST);
  expect(await overflow(page), "pixels beside the narrowest screen").to.equal(0);
  await page.setViewportSize(SCREENS.phone);
  await page.evaluate("document.documentElement.style.fontSize = '200%'");
  expect(await overflow(page), "pixels beside the screen with large letters").to.equal(0);
}
