import { createHash } from "node:crypto";
import { type Html, html, htmlText } from "../html.ts";
import { PAGE_STYLE } from "./page-style.ts";
import type { Answer } from "./route.ts";

/** What one page says. */
export interface View {
  readonly title: string;
  readonly body: Html;
}

/** Writes a page with a status, and headers beside the usual ones. */
export type WritePage = (status: number, view: View, headers?: Answer["headers"]) => Answer;

/** Builds the writer of pages; wide ones may frame other pages of the service. */
export function createLayout({ wide = false } = {}): WritePage {
  const headers = pageHeaders(contentSecurityPolicy(wide ? "frame-src 'self'; " : ""));
  return (status, view, more = {}) => ({
    status,
    headers: { ...headers, ...more },
    body: htmlText(documentOf(view, wide ? "wide" : "narrow")),
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
  const sources = `default-src 'none'; style-src 'sha256-${hash}'; ${frames}form-action 'self'`;
  return `${sources}; frame-ancestors 'none'; base-uri 'none'`;
}

function documentOf({ title, body }: View, width: string): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} – Latchkey</title>
<style>${PAGE_STYLE}</style>
</head>
<body class="${width}">
<header>
<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="8" cy="12" r="4"/><path d="M12 12h10M18 12v4M22 12v3"/></svg>
<span>Latchkey</span>
</header>
<main>
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`;
}
