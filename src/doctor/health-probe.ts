import { once } from "node:events";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { text } from "node:stream/consumers";

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
export async function askHealth({ isSecure, ...place }: Place, signal: AbortSignal) {
  const options = { ...place, signal, ...ANY_CERTIFICATE, path: "/healthz", agent: false } as const;
  const request = isSecure ? requestHttps(options) : requestHttp(options);
  try {
    const [response] = await once(request.end(), "response");
    return { status: Number(response.statusCode), body: await text(response) };
  } finally {
    request.on("error", () => {}).destroy();
  }
}
