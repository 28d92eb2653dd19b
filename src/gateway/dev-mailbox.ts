import { type Html, html } from "../html.ts";
import type { Mailbox, MailboxEntry } from "../mail/mailbox-entry.ts";
import { jsonAnswer } from "./answers.ts";
import { createLayout, pageHeaders, type View } from "./page-layout.ts";
import { HttpError } from "./refusals.ts";
import type { Answer, Call, Route } from "./route.ts";

// A mail's own markup is shown as in a mail program: inline styles, no scripts, no forms, links in a new tab.
const MAIL_POLICY =
  "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'";

/** Shows the mails that a development service would have sent, as pages and as JSON. */
export function mailboxRoutes(mailbox: Mailbox, basePath: string): Route[] {
  const write = createLayout({ wide: true });
  const path = `${basePath}/dev/mailbox`;
  const route = (pattern: string, handle: Route["handle"]): Route => ({ method: "GET", path: pattern, handle });
  return [
    route("/dev/mailbox", async (call) => {
      const to = recipientOf(call);
      const entries = await mailbox.list(to ? { to } : {});
      return wantsJson(call) ? jsonAnswer(200, entries.map(entryBody)) : write(200, listView(path, entries, to));
    }),
    route("/dev/mailbox/{id}", async (call) => {
      const entry = await requireEntry(mailbox, call);
      return wantsJson(call) ? jsonAnswer(200, entryBody(entry)) : write(200, entryView(path, entry));
    }),
    route("/dev/mailbox/{id}/html", async (call) => htmlAnswer(await requireEntry(mailbox, call))),
    route("/dev/mailbox/{id}/text", async (call) => textAnswer(await requireEntry(mailbox, call))),
  ];
}

async function requireEntry(mailbox: Mailbox, { params }: Call): Promise<MailboxEntry> {
  const id = /^\d{1,15}$/.test(params.id ?? "") ? Number(params.id) : null;
  const entry = id === null ? null : await mailbox.find(id);
  if (!entry) throw new HttpError("NOT_FOUND");
  return entry;
}

function recipientOf({ query }: Call): string {
  return new URLSearchParams(query).get("to")?.trim() ?? "";
}

function wantsJson({ accept }: Call): boolean {
  return accept.toLowerCase().includes("application/json");
}

function entryBody({ id, to, subject, createdAt, state, text, html, link, code }: MailboxEntry): object {
  return { id, to, subject, create_time: createdAt.toISOString(), state, text, html, link, code };
}

function htmlAnswer({ html }: MailboxEntry): Answer {
  return { status: 200, headers: { ...pageHeaders(MAIL_POLICY), "x-frame-options": "SAMEORIGIN" }, body: html };
}

function textAnswer({ text }: MailboxEntry): Answer {
  const headers = { ...pageHeaders("default-src 'none'"), "content-type": "text/plain; charset=utf-8" };
  return { status: 200, headers, body: text };
}

function listView(path: string, entries: readonly MailboxEntry[], to: string): View {
  const none = to ? html`<p>No mail to ${to}.</p>` : html`<p>No mail yet. Sign somebody up, then reload this page.</p>`;
  return {
    title: "Development mailbox",
    body: html`<p>Mails are kept here instead of being sent, because no SMTP_URL is set. Newest first.</p>
<form class="filter" method="get" action="${path}">
<div><label for="to">Recipient</label><input id="to" name="to" type="search" autocomplete="off" value="${to}"></div>
<button type="submit">Show</button>
</form>
${entries.length === 0 ? none : html`<ol class="mails">${entries.map((entry) => listItem(path, entry))}</ol>`}`,
  };
}

function listItem(path: string, { id, subject, to, createdAt, state }: MailboxEntry): Html {
  return html`<li><a href="${path}/${id}">${subject}</a>
<span class="facts">To ${to}, ${time(createdAt)}, ${state}</span></li>`;
}

function entryView(path: string, { id, to, subject, createdAt, state, link, code, text }: MailboxEntry): View {
  return {
    title: subject,
    body: html`<p><a href="${path}">All mails</a></p>
<dl>
<dt>To</dt><dd>${to}</dd>
<dt>Time</dt><dd>${time(createdAt)}</dd>
<dt>State</dt><dd>${state}</dd>
<dt>Link</dt><dd><a href="${link}">${link}</a></dd>
${code !== null && html`<dt>Code</dt><dd>${code}</dd>`}
</dl>
<h2>HTML</h2>
<iframe src="${path}/${id}/html" title="The mail as HTML" sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>
<p><a href="${path}/${id}/html">HTML alone</a></p>
<h2>Text</h2>
<pre>${text}</pre>
<p><a href="${path}/${id}/text">Text alone</a></p>`,
  };
}

function time(date: Date): Html {
  const iso = date.toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace("T", " ")} UTC</time>`;
}
