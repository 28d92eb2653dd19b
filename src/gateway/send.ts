import type { IncomingMessage, ServerResponse } from "node:http";
import type { Answer } from "./route.ts";

/** Writes an answer; one to HEAD has no body. */
export function sendAnswer(req: IncomingMessage, res: ServerResponse, { status, headers, body }: Answer): void {
  res.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  res.end(req.method === "HEAD" ? "" : body);
}
