import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createSecureServer, createServer, type SecureServerOptions, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type SigningKey as SigningKeyMessage, TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import { createAccessTokens } from "../../src/auth/access-token.ts";
import { generateSigningKey, readSigningKey, type SigningKey } from "../../src/auth/signing-key.ts";
import type { SigningKeys } from "../../src/auth/signing-keys.ts";
import { createClock } from "../../src/clock.ts";
import { signingKeyMessage } from "../../src/rpc/messages.ts";
import type { AccessClaims } from "../../src/token/strict-jwt.ts";
import { claimsOf } from "./tokens.ts";

export const ISSUER = "http://issuer.test";

/** A token, with the session that it names. */
export interface MintedToken {
  readonly token: string;
  readonly claims: AccessClaims;
}

/** TokenService by itself, which does what a test wants of it: be wrong, be slow, say nothing, go away. */
export interface FakeTokenService {
  readonly url: string;
  readonly port: number;
  /** What it answers; each may be replaced. */
  readonly answers: {
    listSigningKeys(): Promise<readonly SigningKeyMessage[]>;
    introspectToken(token: string): Promise<boolean>;
    /** What a stream says before it goes on with what `revoke` says; false: it never says that it is in sync. */
    isInSync: boolean;
    /** Refuses every stream. */
    refusal: ConnectError | null;
  };
  /** How often each was called, and the cursors of the streams. */
  readonly calls: { listSigningKeys: number; introspectToken: number; readonly cursors: string[] };
  /** How many streams are open. */
  streams(): number;
  /** Begins to sign with another key; gives the one before. */
  rotate(): Promise<SigningKey>;
  mint(): MintedToken;
  /** Tells every stream that a session was ended, with this cursor. */
  revoke(sessionId: string, cursor?: string): void;
  /** Ends every stream with an error. */
  drop(): void;
  stop(): Promise<void>;
}

/** What is otherwise than usual: where it is, what it signs with, or that it speaks TLS. */
export interface FakeOptions {
  readonly port?: number;
  readonly key?: SigningKey;
  readonly tls?: SecureServerOptions;
}

type Told = { readonly sessionId: string; readonly cursor: string } | ConnectError;

/** Starts it, with one signing key. */
export async function startFakeTokenService({ port = 0, key, tls }: FakeOptions = {}): Promise<FakeTokenService> {
  const keys = [key ?? (await makeKey())];
  const streams = new Set<(told: Told) => void>();
  const tell = (told: Told) => {
    for (const stream of streams) stream(told);
  };
  const calls: FakeTokenService["calls"] = { listSigningKeys: 0, introspectToken: 0, cursors: [] };
  const answers: FakeTokenService["answers"] = {
    listSigningKeys: async () => keys.map(signingKeyMessage),
    introspectToken: async () => true,
    isInSync: true,
    refusal: null,
  };
  async function* watchRevocations({ cursor }: { cursor: string }, { signal }: HandlerContext) {
    calls.cursors.push(cursor);
    if (answers.refusal) throw answers.refusal;
    const inbox = createInbox(signal);
    streams.add(inbox.put);
    try {
      if (answers.isInSync) yield { cursor: "begun", inSync: true };
      for (;;) yield { ...(await inbox.take()), expireTime: timestampFromMs(Date.now() + 3_600_000) };
    } finally {
      streams.delete(inbox.put);
    }
  }
  const server = await serve(port, tls, {
    listSigningKeys: async () => {
      calls.listSigningKeys += 1;
      return { keys: [...(await answers.listSigningKeys())] };
    },
    introspectToken: async ({ token }: { token: string }) => {
      calls.introspectToken += 1;
      return { active: await answers.introspectToken(token) };
    },
    watchRevocations,
  });
  return {
    ...{ answers, calls, port: server.port },
    url: `${tls ? "https" : "http"}://127.0.0.1:${server.port}`,
    streams: () => streams.size,
    async rotate() {
      keys.push(await makeKey());
      return keys.at(-2) as SigningKey;
    },
    mint: () => mintWith(keys.at(-1) as SigningKey),
    revoke: (sessionId, cursor = "") => tell({ sessionId, cursor }),
    drop: () => tell(new ConnectError("gone", Code.Unavailable)),
    stop: server.stop,
  };
}

/** A signing key in memory. */
export async function makeKey(): Promise<SigningKey> {
  const { kid, alg, der } = await generateSigningKey("ES256");
  return readSigningKey(kid, alg, der);
}

/** Signs a token of a session that nobody else has. */
export function mintWith(key: SigningKey): MintedToken {
  const keys: SigningKeys = { current: () => key } as SigningKeys;
  const issuedAt = new Date();
  const { token } = createAccessTokens(keys, { issuer: ISSUER, audience: "latchkey" }, createClock()).mint({
    ...{ sessionId: randomUUID(), userId: 7, username: "ada", roles: ["reader"], refreshCounter: 0n, issuedAt },
    accessExpiresAt: new Date(issuedAt.getTime() + 3_600_000),
    refreshExpiresAt: new Date(issuedAt.getTime() + 3_600_000),
  });
  return { token, claims: claimsOf({ accessToken: token }) };
}

async function serve(port: number, tls: SecureServerOptions | undefined, impl: object) {
  const handler = connectNodeAdapter({ routes: (router) => void router.service(TokenService, impl) });
  const server = tls ? createSecureServer(tls, handler) : createServer(handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session)).on("error", () => {});
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

/** What is put in, one after the other, until the signal is aborted. */
function createInbox(signal: AbortSignal) {
  const waiting: Told[] = [];
  let wake = () => {};
  signal.addEventListener("abort", () => wake());
  return {
    put(told: Told): void {
      waiting.push(told);
      wake();
    },
    async take(): Promise<Exclude<Told, ConnectError>> {
      while (waiting.length === 0) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const told = waiting.shift() as Told;
      if (told instanceof ConnectError) throw told;
      return told;
    },
  };
}
