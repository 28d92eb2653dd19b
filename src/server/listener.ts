import { messageOf } from "../failure.ts";
import type { Log } from "../log.ts";
import type { Routes } from "../rpc/routes.ts";
import type { Tls } from "../tls.ts";

/** What each listener is started with. */
export interface ListenerOptions {
  readonly routes: Routes;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly log: Log;
  /** Plain text unless given. */
  readonly tls?: Tls | undefined;
  /** Largest request message; 64 KiB unless given. */
  readonly maxMessageBytes?: number;
}

/** A socket that takes calls. */
export interface Listener {
  readonly port: number;
  /** Tells clients to go elsewhere, while calls are still taken. */
  leave(): void;
  /** Takes no more calls; resolves when those under way have ended, or were ended after `graceMs`. */
  drain(graceMs: number): Promise<void>;
  /** Ends everything at once. */
  close(): void;
}

/** Host and port as one; an IPv6 address in brackets (RFC 3986 section 3.2.2). */
export function addressOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A failure to listen, as an operator needs to read it. */
export function listenError(setting: string, host: string, port: number, error: unknown): Error {
  const why = messageOf(error);
  if (why.includes("EADDRNOTAVAIL"))
    return new Error(`HOST: ${host} is not an address of this machine`, { cause: error });
  const text = why.includes("EADDRINUSE") ? "is in use" : `cannot be listened on (${/E[A-Z]+/.exec(why)?.[0] ?? why})`;
  return new Error(`${setting}: port ${port} of ${host} ${text}`, { cause: error });
}
