import { once } from "node:events";
import { connect } from "node:tls";
import type { Config } from "../config.ts";
import { ANSWER_MS, ANY_CERTIFICATE, askHealth, type Place, reachable } from "../doctor/health-probe.ts";

/** Asks the service that runs by these settings, on this machine, whether it lives; rejects unless it says so. */
export async function requireAlive({ host, httpPort, tls }: Config): Promise<void> {
  if (httpPort === 0) throw new Error("HTTP_PORT: 0 does not say which port the service took");
  const tooLate = AbortSignal.timeout(ANSWER_MS);
  const place = { host: reachable(host), port: httpPort, isSecure: tls !== null };
  try {
    await (tls?.clientCa ? shakeHands(place, tooLate) : requireHealth(place, tooLate));
  } catch (error) {
    const why = tooLate.aborted ? "no answer in time" : error instanceof Error ? error.message : String(error);
    throw new Error(`HTTP_PORT: no service lives at port ${httpPort} of ${host}: ${why}`, { cause: error });
  }
}

async function requireHealth(place: Place, signal: AbortSignal): Promise<void> {
  const { status } = await askHealth(place, signal);
  if (status !== 200) throw new Error(`the answer was ${status}`);
}

// Who has no certificate for the service gets no further; a process that does this much lives.
async function shakeHands({ host, port }: Place, signal: AbortSignal): Promise<void> {
  const socket = connect({ host, port, ...ANY_CERTIFICATE, minVersion: "TLSv1.3" });
  try {
    await once(socket, "secureConnect", { signal });
  } finally {
    socket.destroy();
  }
}
