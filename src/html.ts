const markup = Symbol("markup");

/** Markup that may be put into a page as it is; only `html` makes it. */
export interface Html {
  readonly [markup]: string;
}

/** What may stand in a template: text is escaped, markup is not, nothing is left out. */
export type Interpolation = string | number | Html | readonly Html[] | null | undefined | false;

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Tagged template for markup in which every interpolated text is escaped, for elements and for quoted attributes. */
export function html(strings: TemplateStringsArray, ...values: readonly Interpolation[]): Html {
  const parts = strings.map((part, index) => part + render(values[index]));
  return { [markup]: parts.join("") };
}

/** The finished markup as text, to be sent. */
export function htmlText(value: Html): string {
  return value[markup];
}

function render(value: Interpolation): string {
  if (value === null || value === undefined || value === false) return "";
  if (typeof value === "string" || typeof value === "number") return escapeText(String(value));
  return isList(value) ? value.map(htmlText).join("") : htmlText(value);
}

function isList(value: Html | readonly Html[]): value is readonly Html[] {
  return Array.isArray(value);
}

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
