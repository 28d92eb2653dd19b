import type { Fault } from "../wire/faults.ts";
import type { AccountBody, SignedIn } from "../wire/rest-bodies.ts";
import { AuthError, type Detail } from "./errors.ts";
import type { SignIn } from "./sign-in.ts";

const MAX_ANSWER = 64 * 1024;

/** The way by `POST /sign-in` of the service at a URL; follows no redirect, since the password would go with it. */
export function httpSignIn(url: string | URL): SignIn {
  const endpoint = signInUrl(url);
  return async (schema, { signal, headers }) => {
    const sent = new Headers({ accept: "application/json", ...headers });
    sent.set("content-type", "application/json");
    const body = JSON.stringify(schema);
    const response = await fetch(endpoint, { method: "POST", headers: sent, body, redirect: "manual", signal });
    const answer = readObject(await readText(response));
    if (response.status === 200 && isSignedIn(answer)) return answer;
    if (response.status !== 200 && isDetail(answer.detail)) throw new AuthError(answer.detail, readCode(answer.code));
    throw new Error(`HTTP ${response.status} with a body that is no answer of the service`);
  };
}

function signInUrl(url: string | URL): URL {
  const endpoint = new URL(url);
  const { protocol, username, password } = endpoint;
  if (!/^https?:$/.test(protocol) || username || password)
    throw new TypeError("the service's URL must begin with http: or https: and hold no credentials");
  endpoint.pathname = endpoint.pathname.replace(/\/*$/, "/sign-in");
  return endpoint;
}

/** The whole body, or nothing of one that is longer than any answer of the service. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER) return "";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function readObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    // The parser's own message quotes the text, which may hold tokens.
    return {};
  }
}

function isSignedIn(body: object): body is SignedIn {
  const { access_token, refresh_token, token_type, expires_in, refresh_expires_in, user } = body as Partial<SignedIn>;
  const areTexts = [access_token, refresh_token, token_type].every((text) => typeof text === "string" && text !== "");
  const areNumbers = [expires_in, refresh_expires_in].every(Number.isSafeInteger);
  return areTexts && areNumbers && isAccount(user);
}

function isAccount(account: unknown): boolean {
  const { id, username, email, is_active } = Object(account) as Partial<AccountBody>;
  const areTexts = [username, email].every((text) => typeof text === "string");
  return Number.isSafeInteger(id) && areTexts && typeof is_active === "boolean";
}

function isDetail(detail: unknown): detail is Detail {
  return typeof detail === "string" || (Array.isArray(detail) && detail.every(isFault));
}

function isFault(fault: unknown): boolean {
  const { loc, msg, type } = Object(fault) as Partial<Fault>;
  return Array.isArray(loc) && typeof msg === "string" && typeof type === "string";
}

function readCode(code: unknown): string | undefined {
  return typeof code === "string" ? code : undefined;
}
