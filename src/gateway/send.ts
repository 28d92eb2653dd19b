import type { IncomingMessage, ServerResponse } from "node:http";
import type { Answer } from "./route.ts";

const LINGER_BYTES = 1024 * 1024;
const LINGER_MS = 1000;

/** Writes an answer; one to HEAD has no body. */
export function sendAnswer(req: IncomingMessage, res: ServerResponse, { status, headers, body }: Answer): void {
  res.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  if (headers.connection !== "close") res.end(req.method === "HEAD" ? "" : body);
  else sendAndLinger(req, res, body);
}

// Closing a socket while the client still sends makes it lose the answer, so a bounded part of the rest is thrown away.
function sendAndLinger(req: IncomingMessage, res: ServerResponse, body: string): void {
  let received = 0;
  const timer = setTimeout(finish, LINGER_MS).unref();
  res.write(body);
  req.on("data", (chunk: Uint8Array) => {
    received += chunk.byteLength;
    if (received > LINGER_BYTES) finish();
  });
  for (const event of ["end", "close", "error"]) req.once(event, finish);
  if (req.readableEnded) finish();

  function finish(): void {
    clearTimeout(timer);
    res.end();
  }
}
