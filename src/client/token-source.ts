import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type SigningKey, TokenService, type WatchRevocationsResponse } from "../../gen/auth/v1/token_service_pb.ts";
import { createSessionManager } from "./session-manager.ts";
import type { FilledOptions } from "./verifier-options.ts";

/** What a verifier asks of the service; each call ends when the verifier is closed. */
export interface TokenSource {
  signingKeys(): Promise<readonly SigningKey[]>;
  /** Whether a token is good at this moment. */
  introspect(token: string): Promise<boolean>;
  revocations(cursor: string, signal: AbortSignal): AsyncIterable<WatchRevocationsResponse>;
}

const TIMEOUT_MS = 5_000;
/** What the service says is shorter by far: whatever else is at its address must not fill the memory here. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Reaches the service over one connection, which is opened when it is needed. */
export function createTokenSource(
  { service, serviceKey, tls }: Pick<FilledOptions, "service" | "serviceKey" | "tls">,
  closing: AbortSignal,
): TokenSource {
  const client = createClient(
    TokenService,
    typeof service === "string" ? openTransport(service, tls, closing) : service,
  );
  const headers = { authorization: `Bearer ${serviceKey}` };
  const options = { headers, signal: closing, timeoutMs: TIMEOUT_MS };
  return {
    signingKeys: async () => (await client.listSigningKeys({}, options)).keys,
    introspect: (token) =>
      client.introspectToken({ token }, options).then(({ active }) => active, blameKey("introspect")),
    async *revocations(cursor, signal) {
      try {
        yield* client.watchRevocations({ cursor }, { headers, signal: AbortSignal.any([signal, closing]) });
      } catch (error) {
        blameKey("watch")(error);
      }
    },
  };
}

/** Tells of a refusal that it was about the service key: its words could be about the token of a person. */
function blameKey(scope: string): (error: unknown) => never {
  return (error) => {
    const { code } = ConnectError.from(error);
    if (code === Code.Unauthenticated)
      throw new Error("the service key is not good: unknown there, revoked or expired", { cause: error });
    if (code === Code.PermissionDenied) throw new Error(`the service key lacks the scope ${scope}`, { cause: error });
    throw error;
  };
}

function openTransport(baseUrl: string, tls: FilledOptions["tls"], closing: AbortSignal): Transport {
  const sessionManager = createSessionManager(baseUrl, tls, closing);
  return createGrpcTransport({ baseUrl, sessionManager, readMaxBytes: MAX_ANSWER_BYTES });
}
