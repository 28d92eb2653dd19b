import { AuthError, type Detail } from "./errors.ts";
import type { SignedIn } from "./rest-bodies.ts";
import type { SignIn } from "./sign-in.ts";

/** The way by `POST /sign-in` of the service at a URL; follows no redirect, since the password would go with it. */
export function httpSignIn(url: string | URL): SignIn {
  const endpoint = signInUrl(url);
  return async (schema, { signal, headers }) => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { accept: "application/json", ...headers, "content-type": "application/json" },
      body: JSON.stringify(schema),
      redirect: "manual",
      signal,
    });
    const body = readObject(await response.text());
    if (response.status === 200 && isSignedIn(body)) return body;
    if (response.status !== 200 && isDetail(body.detail)) throw new AuthError(body.detail, readCode(body.code));
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

function readObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    // The parser's own message quotes the text, which may hold tokens.
    return {};
  }
}

function isSignedIn(body: object): body is SignedIn {
  return "access_token" in body && typeof body.access_token === "string";
}

function isDetail(detail: unknown): detail is Detail {
  return typeof detail === "string" || Array.isArray(detail);
}

function readCode(code: unknown): string | undefined {
  return typeof code === "string" ? code : undefined;
}
