/** An answer to plain HTTP. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text read as a JSON object. */
  readonly body: Record<string, unknown>;
}

/** Posts JSON to a path of the HTTP listener, written out where it must not be well-formed. */
export async function postJson(
  { httpUrl }: { readonly httpUrl: string },
  path: string,
  body: object | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  const response = await fetch(`${httpUrl}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: text === "" ? {} : JSON.parse(text) };
}
