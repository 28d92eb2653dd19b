import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import type { ServiceScope } from "../../src/db/service-keys.ts";
import { createServiceKeyOperator } from "../../src/rpc/service-key-operator.ts";
import { bearer } from "./people.ts";
import type { TestService } from "./service.ts";

let keys = 0;

/** Makes a service key as an operator does; gives its id, the key, and the options of calls that present it. */
export async function issueKey({ app }: Pick<TestService, "app">, scopes: readonly ServiceScope[], expiresAt?: Date) {
  const { id, key } = await createServiceKeyOperator(app).create(`service-${++keys}`, scopes, expiresAt);
  return { id, key, options: bearer(key) };
}

/** The generated client of TokenService. */
export function tokenClient({ grpcUrl }: Pick<TestService, "grpcUrl">): Client<typeof TokenService> {
  return createClient(TokenService, createGrpcTransport({ baseUrl: grpcUrl }));
}
