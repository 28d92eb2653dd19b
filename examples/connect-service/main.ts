// Notes over gRPC: everybody who has signed in at Latchkey keeps their own.
//
//   LATCHKEY_URL=http://localhost:50051 LATCHKEY_KEY=lk_… LATCHKEY_ISSUER=http://localhost:8080 node main.ts

import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { claimsKey, connectInterceptor, createVerifier } from "latchkey/verifier";
import { NotesService } from "./gen/notes/v1/notes_service_pb.ts";

const { LATCHKEY_URL = "", LATCHKEY_KEY = "", LATCHKEY_ISSUER = "", PORT = "8081" } = process.env;

// Follows the service from now on: its public keys, and the sessions that have ended. No call is made per request.
const verifier = createVerifier({
  service: LATCHKEY_URL,
  serviceKey: LATCHKEY_KEY,
  issuer: LATCHKEY_ISSUER,
  // Should the stream of ended sessions be away for some seconds, Latchkey is asked about each token. The other answers
  // are "reject", for what must never be done by somebody who has signed out, and "accept", for what may.
  whenAway: "introspect",
  onFailure: (error) => console.error(`Latchkey: ${error}`),
});

const notes = new Map<string, string[]>();

function notesOf(context: HandlerContext): string[] {
  // Never null here: the interceptor has refused every call without a good token.
  const user = context.values.get(claimsKey)?.sub ?? "";
  const own = notes.get(user) ?? [];
  notes.set(user, own);
  return own;
}

function routes(router: ConnectRouter): void {
  router.service(NotesService, {
    addNote({ text }, context) {
      if (text.length < 1 || text.length > 1000)
        throw new ConnectError("text must have 1 to 1,000 characters", Code.InvalidArgument);
      return { count: notesOf(context).push(text) };
    },
    async *listNotes(_, context) {
      for (const text of notesOf(context)) yield { text };
    },
  });
}

const server = createServer(connectNodeAdapter({ routes, interceptors: [connectInterceptor(verifier)] }));

// The first callers need not wait either, if nobody is let in before all is known.
await verifier.ready(AbortSignal.timeout(30_000));
server.listen(Number(PORT), () => console.log(`listening on ${(server.address() as AddressInfo).port}`));

process.once("SIGTERM", () => {
  verifier.close();
  process.exit();
});
