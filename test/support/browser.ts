import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { findProgram, skipWithout } from "./programs.ts";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const TIMEOUT_MS = 15_000;

/** One page in a context of its own, and everything that went wrong in it. */
export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors in the console, violations of the page's policy, requests to another origin. */
  readonly faults: string[];
}

/** A browser that reaches a service under the origin of its public URL, wherever it really listens. */
export interface TestBrowser {
  /** Opens an empty page. */
  visit(options?: BrowserContextOptions): Promise<Visit>;
  close(): Promise<void>;
}

/** Starts Chromium, once per test file; skips the suite where there is none. */
export async function startBrowser(
  suite: Mocha.Context,
  { httpUrl, config }: { readonly httpUrl: string; readonly config: { readonly publicUrl: string } },
): Promise<TestBrowser> {
  const executablePath = findProgram("chromium") ?? skipWithout(suite, "chromium");
  const { origin, host } = new URL(config.publicUrl);
  const args = [...ARGS, `--host-resolver-rules=MAP ${host} ${new URL(httpUrl).host}`];
  const browser = await chromium.launch({ executablePath, args });
  return {
    visit: (options = {}) => openVisit(browser, { baseURL: origin, ...options }),
    close: () => browser.close(),
  };
}

async function openVisit(browser: Browser, options: BrowserContextOptions): Promise<Visit> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  const faults: string[] = [];
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== options.baseURL) faults.push(`request to ${request.url()}`);
  });
  context.on("console", (message) => {
    if (!isStatusOfPage(message.text())) faults.push(`console: ${message.text()}`);
  });
  context.on("weberror", (error) => faults.push(`script: ${error.error().message}`));
  return { context, page: await context.newPage(), faults };
}

// Chromium writes one for every page whose status is not 2xx.
function isStatusOfPage(text: string): boolean {
  return /^Failed to load resource: the server responded with a status of (4\d\d|503) /.test(text);
}
