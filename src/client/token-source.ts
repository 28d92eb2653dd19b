import { createClient, type Transport } from "@connectrpc/connect";
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
    introspect: async (token) => (await client.introspectToken({ token }, options)).active,
    revocations: (cursor, signal) =>
      client.watchRevocations({ cursor }, { headers, signal: AbortSignal.any([signal, closing]) }),
  };
}

function openTransport(baseUrl: string, tls: FilledOptions["tls"], closing: AbortSignal): Transport {
  return createGrpcTransport({ baseUrl, sessionManager: createSessionManager(baseUrl, tls, closing) });
}
