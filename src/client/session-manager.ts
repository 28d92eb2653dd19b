import type { Http2Session, SecureClientSessionOptions } from "node:http2";
import { Http2SessionManager } from "@connectrpc/connect-node";

/** A connection whose other end has vanished is found out within the sum. */
const PINGS = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 };

/** The one connection to a service, opened when it is needed, until the signal is aborted. */
export function createSessionManager(
  url: string,
  tls: SecureClientSessionOptions,
  closing: AbortSignal,
): Http2SessionManager {
  const manager = new SteadySessionManager(url, PINGS, tls);
  closing.addEventListener("abort", () => manager.abort(), { once: true });
  return manager;
}

/**
 * Hears the errors of its connections to the end. The library's stops to listen as soon as it knows that one is dead;
 * the error that comes a moment later would end the process.
 */
class SteadySessionManager extends Http2SessionManager {
  readonly #heard = new WeakSet<Http2Session>();

  override async request(...args: Parameters<Http2SessionManager["request"]>) {
    const stream = await super.request(...args);
    const { session } = stream;
    if (session && !this.#heard.has(session)) {
      this.#heard.add(session);
      session.on("error", () => {});
    }
    return stream;
  }
}
