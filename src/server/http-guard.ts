import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Whether a request's target and Host make a URL, which everything further on takes for granted. */
export function isSound({ url, headers: { host } }: IncomingMessage): boolean {
  if (!url?.startsWith("/") || !URL.canParse(url, "http://localhost")) return false;
  return host !== undefined && /^[^\s/?#@\\]+$/.test(host) && URL.canParse(`http://${host}`);
}

/**
 * Ends the connection with this answer when the service is leaving, or when Node could not be trusted with another
 * request on it: it leaves the socket paused after a request that was not read to its end. And over TLS it pauses its
 * parser, but not the data, for a request that comes while much of an answer is still on its way: that would be refused
 * as malformed.
 */
export function closeWhenDue(req: IncomingMessage, res: ServerResponse, isLeaving: () => boolean): void {
  const hasBody = req.headers["transfer-encoding"] !== undefined || Number(req.headers["content-length"] ?? 0) > 0;
  const writeHead = res.writeHead;
  const guarded = (...args: Parameters<typeof writeHead>) => {
    const mayBeLong = "encrypted" in req.socket && !(lengthIn(res, args.at(-1)) < SHORT_BYTES);
    if (isLeaving() || mayBeLong || (hasBody && !req.complete)) res.shouldKeepAlive = false;
    return writeHead.apply(res, args);
  };
  res.writeHead = guarded as typeof writeHead;
}

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
