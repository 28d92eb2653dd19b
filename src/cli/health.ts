import { once } from "node:events";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { connect } from "node:tls";
import type { Config } from "../config.ts";

const ANSWER_MS = 3_000;
const LOOPBACK: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Asks the service that runs by these settings, on this machine, whether it lives; rejects unless it says so. */
export async function requireAlive({ host, httpPort, tls }: Config): Promise<void> {
  if (httpPort === 0) throw new Error("HTTP_PORT: 0 does not say which port the service took");
  const tooLate = AbortSignal.timeout(ANSWER_MS);
  const target = { host: LOOPBACK[host] ?? host, port: httpPort, signal: tooLate };
  try {
    await (tls?.clientCa ? shakeHands(target) : askForHealth(target, tls !== null));
  } catch (error) {
    const why = tooLate.aborted ? "no answer in time" : error instanceof Error ? error.message : String(error);
    throw new Error(`HTTP_PORT: no service lives at port ${httpPort} of ${host}: ${why}`, { cause: error });
  }
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

// The certificate is for the names that callers know, and nothing secret is said.
const ANY_CERTIFICATE = { rejectUnauthorized: false };

async function askForHealth(target: Target, encrypted: boolean): Promise<void> {
  const options = { ...target, ...ANY_CERTIFICATE, path: "/healthz", agent: false } as const;
  const request = encrypted ? requestHttps(options) : requestHttp(options);
  const [response] = await once(request.end(), "response");
  response.destroy();
  if (response.statusCode !== 200) throw new Error(`the answer was ${response.statusCode}`);
}

// Who has no certificate for the service gets no further; a process that does this much lives.
async function shakeHands({ host, port, signal }: Target): Promise<void> {
  const socket = connect({ host, port, ...ANY_CERTIFICATE, minVersion: "TLSv1.3" });
  try {
    await once(socket, "secureConnect", { signal });
  } finally {
    socket.destroy();
  }
}
