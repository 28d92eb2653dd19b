import { once } from "node:events";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

/** A port that somebody listens on. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
}

/** How long a service on this machine may take to say that it lives. */
export const ANSWER_MS = 3_000;

/** For connections of TLS: the certificate is for the names that callers know, and nothing secret is said. */
export const ANY_CERTIFICATE = { rejectUnauthorized: false };

/** The address by which this machine reaches what listens on a host. */
export function reachable(host: string): string {
  return { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
}

/** Asks for `/healthz`; rejects when there is no answer. */
export function askHealth(place: Place, signal: AbortSignal) {
  return ask(place, "/healthz", signal);
}

/** Asks for a path whose answer is short; rejects when there is none. */
export async function ask({ isSecure, ...place }: Place, path: string, signal: AbortSignal) {
  const options = { ...place, path, signal, ...ANY_CERTIFICATE, agent: false } as const;
  const request = isSecure ? requestHttps(options) : requestHttp(options);
  try {
    const [response] = await once(request.end(), "response");
    // As much as comes at once: the answer is short, and nobody knows who gives it.
    const [body = ""] = await Promise.race([once(response.setEncoding("utf8"), "data"), once(response, "end")]);
    return { status: Number(response.statusCode), body: String(body) };
  } finally {
    request.on("error", () => {}).destroy();
  }
}
