import { type Html, html, htmlText } from "../html.ts";

/** What one mail says, whatever its form. */
export interface MailContent {
  readonly subject: string;
  /** "" leaves the name out of the greeting. */
  readonly name: string;
  readonly request: string;
  readonly action: string;
  readonly link: string;
  readonly linkValidity: string;
  readonly code: string | null;
  readonly codeValidity: string;
  /** For whom the request is not meant. */
  readonly otherwise: string;
}

/** The mail as plain text, a paragraph each. */
export function mailText(content: MailContent): string {
  const code = content.code === null ? [] : [`Or enter this code: ${content.code}`, content.codeValidity];
  return [
    greeting(content),
    content.request,
    content.link,
    content.linkValidity,
    ...code,
    content.otherwise,
    "-- \nLatchkey\n",
  ].join("\n\n");
}

const FONT =
  "font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5";
const BUTTON =
  "display:inline-block;padding:12px 22px;border-radius:8px;background-color:#1d5bb8;color:#ffffff;font-weight:600;text-decoration:none";
const CODE = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:28px;font-weight:600;letter-spacing:4px";

/** The mail as HTML. Text keeps the mail program's own colours, so that dark mode needs no rules of ours. */
export function mailHtml(content: MailContent): string {
  const { subject, request, action, link, linkValidity, otherwise } = content;
  return htmlText(html`<!doctype html>
<html lang="en" style="color-scheme:light dark">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${subject}</title>
</head>
<body style="margin:0;padding:24px 16px;${FONT}">
<div style="max-width:512px;margin:0 auto">
<h1 style="margin:0 0 16px;font-size:22px;line-height:1.3">${subject}</h1>
<p style="margin:0 0 16px">${greeting(content)}</p>
<p style="margin:0 0 24px">${request}</p>
<p style="margin:0 0 8px"><a href="${link}" target="_blank" rel="noopener noreferrer" style="${BUTTON}">${action}</a></p>
<p style="margin:0 0 24px;font-size:14px">${linkValidity}</p>
${codeParagraphs(content)}
<p style="margin:0 0 24px;font-size:14px">If the button does not work, open this address:<br><a href="${link}" target="_blank" rel="noopener noreferrer" style="word-break:break-all">${link}</a></p>
<p style="margin:0;padding-top:16px;border-top:1px solid #8a939e;font-size:14px">${otherwise}</p>
<p style="margin:16px 0 0;font-size:14px">Latchkey</p>
</div>
</body>
</html>
`);
}

function codeParagraphs({ code, codeValidity }: MailContent): Html | null {
  if (code === null) return null;
  return html`<p style="margin:0">Or enter this code:</p>
<p style="margin:0;${CODE}">${code}</p>
<p style="margin:0 0 24px;font-size:14px">${codeValidity}</p>`;
}

function greeting({ name }: MailContent): string {
  return name === "" ? "Hello," : `Hello ${name},`;
}
