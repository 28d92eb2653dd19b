import { html } from "../html.ts";

/** Style of every page: light and dark, narrow screens first, system fonts. */
export const PAGE_STYLE = html`
:root {
  color-scheme: light dark;
  --ground: #f3f4f6; --card: #ffffff; --text: #1a1d21; --soft: #565e68; --line: #8a939e; --hair: #dfe3e8;
  --accent: #1d5bb8; --accent-strong: #164a98; --on-accent: #ffffff; --bad: #b3261e; --bad-ground: #fdeeec;
  --good: #14683c; --good-ground: #e3f4e9;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #101317; --card: #191d23; --text: #e8eaed; --soft: #a4adb8; --line: #6f7985; --hair: #2c323a;
    --accent: #8ab8ff; --accent-strong: #b0cfff; --on-accent: #0b1f3d; --bad: #ffb4ab; --bad-ground: #3a1d1b;
    --good: #8fd9ab; --good-ground: #173526;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; padding: 1.5rem 1rem; background: var(--ground); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere;
}
header, main { width: 100%; max-width: 27rem; margin: 0 auto; }
.wide header, .wide main { max-width: 56rem; }
header {
  display: flex; align-items: center; gap: .5rem; margin-bottom: 1rem; font-weight: 600; color: var(--soft);
}
svg { fill: none; stroke: currentColor; stroke-width: 2; }
header svg { width: 1.25rem; height: 1.25rem; }
svg.done {
  display: block; width: 2.75rem; height: 2.75rem; margin-bottom: 1rem; padding: .5rem; border-radius: 50%;
  color: var(--good); background: var(--good-ground); stroke-width: 2.5; stroke-linecap: round; stroke-linejoin: round;
}
main { background: var(--card); border: 1px solid var(--hair); border-radius: .875rem; padding: 1.5rem; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; letter-spacing: -.01em; text-wrap: balance; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1.0625rem; }
p { margin: 0 0 1rem; text-wrap: pretty; }
main > :last-child, form > :last-child { margin-bottom: 0; }
a { color: var(--accent); }
label { display: block; margin-bottom: .375rem; font-weight: 600; }
input {
  display: block; width: 100%; min-height: 2.875rem; padding: .5rem .75rem; font: inherit; color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
}
input[aria-invalid="true"] { border-color: var(--bad); border-width: 2px; }
input[hidden], input[type="hidden"] { display: none; }
.hint { margin: .5rem 0 1rem; font-size: .9375rem; color: var(--soft); }
.error {
  margin: 0 0 1rem; padding: .625rem .75rem; color: var(--bad); background: var(--bad-ground);
  border-left: 4px solid var(--bad); border-radius: .25rem;
}
button {
  display: block; width: 100%; min-height: 2.875rem; margin-top: 1rem; padding: .5rem 1rem; font: inherit;
  font-weight: 600; color: var(--on-accent); background: var(--accent); border: 1px solid transparent;
  border-radius: .5rem; cursor: pointer;
}
button:hover { background: var(--accent-strong); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
form.filter { display: flex; flex-wrap: wrap; align-items: end; gap: .75rem; margin-bottom: 1.5rem; }
form.filter > div { flex: 1 1 14rem; }
form.filter button { width: auto; margin: 0; }
ol.mails { margin: 0; padding: 0; list-style: none; }
ol.mails li { padding: .75rem 0; border-top: 1px solid var(--hair); }
ol.mails li a { display: block; font-weight: 600; }
.facts { color: var(--soft); font-size: .9375rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 0 0 1rem; }
dt { color: var(--soft); }
dd { margin: 0; }
pre {
  margin: 0 0 1rem; padding: 1rem; white-space: pre-wrap; font: .875rem/1.5 ui-monospace, Menlo, Consolas, monospace;
  background: var(--ground); border-radius: .5rem;
}
iframe {
  display: block; width: 100%; height: 44rem; margin-bottom: 1rem; background: var(--card);
  border: 1px solid var(--hair); border-radius: .5rem;
}
@media (min-width: 40rem) { body { padding-top: 12vh; } body.wide { padding-top: 3rem; } main { padding: 2rem; } iframe { height: 36rem; } }
@media print { :root { color-scheme: light; } body { padding: 0; background: none; } main { border: 0; padding: 0; } }
`;
