import { type CallOptions, type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { TokenService, type WatchRevocationsResponse } from "../../gen/auth/v1/token_service_pb.ts";
import type { TestDatabase } from "./postgres.ts";
import { waitUntil } from "./wait.ts";

type Watchable = Pick<Client<typeof TokenService>, "watchRevocations">;

/** The generated client of TokenService, by each protocol. */
export function tokenClients({
  grpcUrl,
  httpUrl,
}: {
  readonly grpcUrl: string;
  readonly httpUrl: string;
}): Readonly<Record<string, Watchable>> {
  const http = { baseUrl: httpUrl, httpVersion: "1.1" as const };
  return {
    gRPC: createClient(TokenService, createGrpcTransport({ baseUrl: grpcUrl })),
    "gRPC-Web": createClient(TokenService, createGrpcWebTransport(http)),
    "Connect binary": createClient(TokenService, createConnectTransport({ ...http, useBinaryFormat: true })),
    "Connect JSON": createClient(TokenService, createConnectTransport({ ...http, useBinaryFormat: false })),
  };
}

/** Somebody who watches revocations, and what they were told. */
export interface Watching {
  readonly messages: readonly WatchRevocationsResponse[];
  /** How it ended: the error, or undefined. */
  readonly ended: Promise<unknown>;
  /** The sessions that were named, in order. */
  sessions(): string[];
  /** The newest cursor. */
  cursor(): string;
  inSync(): Promise<void>;
  /** Resolves when all of them were named. */
  told(...sessionIds: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** Watches, from a cursor on, until it is stopped. */
export function startWatching(client: Watchable, options: CallOptions, from = ""): Watching {
  const messages: WatchRevocationsResponse[] = [];
  const controller = new AbortController();
  const read = async () => {
    const stream = client.watchRevocations({ cursor: from }, { ...options, signal: controller.signal });
    for await (const message of stream) messages.push(message);
  };
  let failure: unknown;
  const ended = read().catch((error: unknown) => {
    failure = error;
    return error;
  });
  const until = (holds: () => boolean) =>
    waitUntil(() => {
      if (failure && !holds()) throw failure;
      return holds();
    });
  const sessions = () => messages.map(({ sessionId }) => sessionId).filter((id) => id !== "");
  return {
    ...{ messages, ended, sessions },
    cursor: () => messages.findLast(({ cursor }) => cursor !== "")?.cursor ?? from,
    inSync: () => until(() => messages.some(({ inSync }) => inSync)),
    told: (...sessionIds) =>
      until(() => {
        const told = new Set(sessions());
        return sessionIds.every((id) => told.has(id));
      }),
    async stop() {
      controller.abort();
      await ended;
    },
  };
}

/** Writes revocations beside the services, as another process would; gives the sessions that they name. */
export async function revoke({ database }: { readonly database: TestDatabase }, count = 1): Promise<string[]> {
  const rows = await database.query<{ id: string }>(
    `INSERT INTO revocations (session_id, expires_at) SELECT gen_random_uuid(), now() + interval '1 day'
     FROM generate_series(1, $1) RETURNING session_id AS id`,
    count,
  );
  return rows.map(({ id }) => id);
}

/** Resolves when a service that is alone on its database has read the revocations and the service keys from now on. */
export async function untilPolled({ database }: { readonly database: TestDatabase }): Promise<void> {
  for (const table of ["revocations", "service_keys"]) {
    const begun = new Set<string>();
    // The first may be from before; the second has ended when there is a third.
    await waitUntil(async () => {
      const rows = await database.query<{ at: string }>(
        `SELECT query_start::text AS at FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'latchkey' AND query LIKE '%FROM %' || $1 || '%'
         ORDER BY query_start DESC LIMIT 1`,
        table,
      );
      for (const { at } of rows) begun.add(at);
      return begun.size > 2;
    });
  }
}
