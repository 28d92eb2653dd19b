import { createHash } from "node:crypto";
import { type Html, html, htmlText } from "../html.ts";
import { PAGE_STYLE } from "./page-style.ts";
import type { Answer } from "./route.ts";

/** What one page says. */
export interface View {
  readonly title: string;
  /** Whether the page says that something has been done: it then bears a check mark. */
  readonly done?: boolean;
  readonly body: Html;
}

/** Writes a page with a status, and headers beside the usual ones. */
export type WritePage = (status: number, view: View, headers?: Answer["headers"]) => Answer;

/** Builds the writer of pages; wide ones may frame other pages of the service. */
export function createLayout({ wide = false } = {}): WritePage {
  const headers = pageHeaders(contentSecurityPolicy(wide ? "frame-src 'self'; " : ""));
  const icon = `data:image/svg+xml;base64,${Buffer.from(htmlText(ICON)).toString("base64")}`;
  return (status, view, more = {}) => ({
    status,
    headers: { ...headers, ...more },
    body: htmlText(documentOf(view, icon, wide ? "wide" : "narrow")),
  });
}

/** Headers of every page: the token in its address must reach no cache, frame or other site. */
export function pageHeaders(policy: string): Answer["headers"] {
  return {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
  };
}

function contentSecurityPolicy(frames: string): string {
  const hash = createHash("sha256").update(htmlText(PAGE_STYLE)).digest("base64");
  const sources = `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; ${frames}form-action 'self'`;
  return `${sources}; frame-ancestors 'none'; base-uri 'none'`;
}

const KEY = html`<circle cx="8" cy="12" r="4"/><path d="M12 12h10M18 12v4M22 12v3"/>`;
const ICON = html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="5" fill="#1d5bb8"/><g transform="translate(2.4 2) scale(.8)" fill="none" stroke="#fff" stroke-width="2.5">${KEY}</g></svg>`;
const CHECK_MARK = html`<svg class="done" viewBox="0 0 24 24" aria-hidden="true"><path d="M6 12.5l4 4 8-9"/></svg>
`;

function documentOf({ title, done = false, body }: View, icon: string, width: string): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} – Latchkey</title>
<link rel="icon" href="${icon}">
<style>${PAGE_STYLE}</style>
</head>
<body class="${width}">
<header>
<svg viewBox="0 0 24 24" aria-hidden="true">${KEY}</svg>
<span>Latchkey</span>
</header>
<main>
${done && CHECK_MARK}<h1>${title}</h1>
${body}
</main>
</body>
</html>
`;
}
