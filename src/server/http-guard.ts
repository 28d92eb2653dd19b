import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/** Whether a request's target and Host make a URL, which everything further on takes for granted. */
export function isSound({ url, headers: { host } }: IncomingMessage): boolean {
  if (!url?.startsWith("/") || !URL.canParse(url, "http://localhost")) return false;
  return host !== undefined && /^[^\s/?#@\\]+$/.test(host) && URL.canParse(`http://${host}`);
}

/**
 * Whether the connection ends with an answer that was begun: nothing is done for what still comes on it (RFC 9112
 * section 9.6).
 */
export function isLast({ headersSent, shouldKeepAlive }: ServerResponse): boolean {
  return headersSent && !shouldKeepAlive;
}

/** Sees to it that a connection ends with this answer when it has to, and not before the client can have read it. */
export function guardConnection(req: IncomingMessage, res: ServerResponse, isLeaving: () => boolean): void {
  const hasBody = req.headers["transfer-encoding"] !== undefined || Number(req.headers["content-length"] ?? 0) > 0;
  const isUnread = () => hasBody && !req.complete;
  closeWhenDue(req, res, () => isLeaving() || isUnread());
  if (hasBody) lingerWhile(isUnread, req, res);
}

/**
 * Ends the connection with this answer when the service is leaving, or when Node could not be trusted with another
 * request on it: it leaves the socket paused after a request that was not read to its end. And over TLS it pauses its
 * parser, but not the data, for a request that comes while much of an answer is still on its way: that would be refused
 * as malformed.
 */
function closeWhenDue({ socket }: IncomingMessage, res: ServerResponse, isDue: () => boolean): void {
  const writeHead = res.writeHead;
  const guarded = (...args: Parameters<typeof writeHead>) => {
    const mayBeLong = "encrypted" in socket && !(lengthIn(res, args.at(-1)) < SHORT_BYTES);
    if (isDue() || mayBeLong) res.shouldKeepAlive = false;
    return writeHead.apply(res, args);
  };
  res.writeHead = guarded as typeof writeHead;
}

/**
 * Sends the answer, but ends it only when what the client still sends was thrown away, or got too long: a client that
 * writes to a connection that is closed may lose the answer (RFC 9112 section 9.6).
 */
function lingerWhile(isUnread: () => boolean, req: IncomingMessage, res: ServerResponse): void {
  const { end } = res;
  const lingering = (bytes?: string | Uint8Array) => {
    res.end = end;
    if (!isUnread() || req.destroyed) return res.end(bytes);
    if (bytes) res.write(bytes);
    // What has no body, as an answer to HEAD, is not sent by a write.
    res.flushHeaders();
    void Promise.race([throwAway(req), sleep(LINGER_MS, undefined, { ref: false })]).then(() => res.end());
    return res;
  };
  res.end = lingering as typeof end;
}

async function throwAway(req: IncomingMessage): Promise<void> {
  let room = LINGER_BYTES;
  try {
    for await (const chunk of req.iterator({ destroyOnReturn: false })) {
      room -= chunk.length;
      if (room < 0) return;
    }
  } catch {
    // The client has gone away.
  }
}

const LINGER_BYTES = 1024 * 1024;
const LINGER_MS = 1000;

// Well below what a socket takes before it says that it is full.
const SHORT_BYTES = 32 * 1024;

/** The length of an answer as its headers tell it; NaN when they do not. */
function lengthIn(res: ServerResponse, headers: unknown): number {
  const given = typeof headers === "object" && headers !== null && "content-length" in headers ? headers : {};
  return Number({ "content-length": res.getHeader("content-length"), ...given }["content-length"]);
}

/** Answers in JSON what Node could not read as a request; Node's own answer has no body. */
export function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  current: ServerResponse | undefined,
): void {
  // Half an answer cannot be taken back; one that was sent whole belongs to an earlier request on the connection.
  if (!socket.writable || (current?.headersSent && !current.writableEnded)) {
    socket.destroy();
    return;
  }
  const [line, detail] = MALFORMED[error.code ?? ""] ?? ["400 Bad Request", "Malformed request"];
  const body = JSON.stringify({ detail, code: "INVALID_ARGUMENT" });
  const head = `HTTP/1.1 ${line}\r\ncontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: ${body.length}`;
  socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`);
}

const MALFORMED: Readonly<Record<string, readonly [line: string, detail: string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "Request headers too large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "Request took too long"],
};
