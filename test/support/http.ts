import { expect } from "chai";

/** An answer to plain HTTP. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text read as a JSON object; empty when it is not of that type. */
  readonly body: Record<string, unknown>;
}

type HttpService = { readonly httpUrl: string };
type HttpHeaders = Readonly<Record<string, string>>;

/** Sends one request to the HTTP listener, following no redirect. */
export async function send({ httpUrl }: HttpService, path: string, init: RequestInit = {}): Promise<HttpAnswer> {
  const response = await fetch(`${httpUrl}${path}`, { redirect: "manual", ...init });
  const { status, headers } = response;
  const text = await response.text();
  const isJson = headers.get("content-type")?.startsWith("application/json") && text !== "";
  return { status, headers, text, body: isJson ? JSON.parse(text) : {} };
}

/** Posts JSON, written out where it must not be well-formed. */
export function postJson(
  service: HttpService,
  path: string,
  body: object | string,
  headers: HttpHeaders = {},
): Promise<HttpAnswer> {
  return send(service, path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

/** Posts a form, as a browser and OAuth2PasswordRequestForm do. */
export function postForm(
  service: HttpService,
  path: string,
  members: HttpHeaders,
  headers: HttpHeaders = {},
): Promise<HttpAnswer> {
  return send(service, path, { method: "POST", headers, body: new URLSearchParams(members) });
}

/** The header that carries a token, of whatever kind. */
export const authorization = (token: unknown) => ({ authorization: `Bearer ${token}` });

/** The body of every answer to a token that is not good. */
export const BAD_TOKEN = { detail: "Invalid or expired token", code: "INVALID_TOKEN" };

/** Checks what holds for every answer of a REST route, its status, and its body or the names of its members. */
export function expectJson(answer: HttpAnswer, expected: number, body: object | readonly string[]): void {
  const { status, headers } = answer;
  expect(headers.get("content-type")).to.equal("application/json");
  expect(headers.get("cache-control")).to.equal("no-store");
  expect(headers.get("www-authenticate")).to.equal(status === 401 ? "Bearer" : null);
  if (Array.isArray(body)) expect(answer.body).to.have.all.keys(...body);
  else expect(answer.body).to.deep.equal(body);
  expect(status).to.equal(expected);
}
