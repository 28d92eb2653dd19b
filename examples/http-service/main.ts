// Notes over plain HTTP: everybody who has signed in at Latchkey keeps their own.
//
//   LATCHKEY_URL=http://localhost:50051 LATCHKEY_KEY=lk_… LATCHKEY_ISSUER=http://localhost:8080 node main.ts
//   curl -H "Authorization: Bearer $ACCESS_TOKEN" -d 'buy milk' localhost:8082/notes

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type AccessClaims, authenticate, createVerifier, VerifierAway } from "latchkey/verifier";

const { LATCHKEY_URL = "", LATCHKEY_KEY = "", LATCHKEY_ISSUER = "", PORT = "8082" } = process.env;

// Follows the service from now on: its public keys, and the sessions that have ended. No call is made per request.
const verifier = createVerifier({
  service: LATCHKEY_URL,
  serviceKey: LATCHKEY_KEY,
  issuer: LATCHKEY_ISSUER,
  // Should the stream of ended sessions be away for some seconds, nobody gets in until it is back. The other answers are
  // "introspect", which asks Latchkey about each token then, and "accept", which goes by signature and time alone.
  whenAway: "reject",
  onFailure: (error) => console.error(`Latchkey: ${error}`),
});

const notes = new Map<string, string[]>();

/** Answers somebody whose token is good at this moment. */
async function serve(claims: AccessClaims, req: IncomingMessage, res: ServerResponse): Promise<void> {
  // `sub` is the account, for good; the username may change.
  const own = notes.get(claims.sub) ?? [];
  notes.set(claims.sub, own);
  if (req.url !== "/notes") return answer(res, 404, { detail: "Not found" });
  if (req.method === "GET") return answer(res, 200, { username: claims.username, notes: own });
  if (req.method !== "POST") return answer(res, 405, { detail: "Method not allowed" });
  if (Number(req.headers["content-length"] ?? Number.POSITIVE_INFINITY) > 1000)
    return answer(res, 413, { detail: "Request body too large" }, { connection: "close" });
  own.push(await text(req));
  answer(res, 201, { count: own.length });
}

function answer(res: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  res.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

const server = createServer(async (req, res) => {
  try {
    const claims = await authenticate(verifier, req.headers);
    if (claims) await serve(claims, req, res);
    else answer(res, 401, { detail: "Invalid or expired token" }, { "www-authenticate": "Bearer" });
  } catch (error) {
    // It is not known whether the token is good: no verdict on the caller, who may come again.
    if (error instanceof VerifierAway) answer(res, 503, { detail: "Service temporarily unavailable" });
    else answer(res, 500, { detail: "Internal error" });
  }
});

// The first callers need not be turned away, if nobody is let in before all is known.
await verifier.ready(AbortSignal.timeout(30_000));
server.listen(Number(PORT), () => console.log(`listening on ${(server.address() as AddressInfo).port}`));

process.once("SIGTERM", () => {
  verifier.close();
  server.close();
  server.closeIdleConnections();
});
