import type { ServiceImpl } from "@connectrpc/connect";
import { TokenService } from "../gen/auth/v1/token_service_pb.ts";
import { createApp } from "../src/app.ts";
import { parseConfig } from "../src/config.ts";
import { createLog } from "../src/log.ts";
import { createService, type Service } from "../src/rpc/routes.ts";
import { startServer } from "../src/server/server.ts";
import { createTestDatabase } from "../test/support/postgres.ts";
import { SECRET_KEY } from "../test/support/service.ts";
import { issueKey } from "../test/support/service-keys.ts";
import { processorTime } from "./compare.ts";
import { createMint, type RawSignature, rawSignature, rawVerifiers } from "./tokens.ts";

// A service whose IntrospectToken does as it is told by the process that started it: nothing, nothing but the signature,
// or what it should.

/** What IntrospectToken does. */
export type Mode = "nothing" | "jose" | "der" | "introspect";

/** What the process that started this one asks for. */
export type Order = { readonly mint: number } | { readonly mode: Mode } | { readonly time: true };

/** What it is told, in that order. */
export interface Answer {
  readonly ready?: { readonly port: number; readonly key: string };
  readonly tokens?: readonly string[];
  readonly time?: number;
}

const database = await createTestDatabase();
const settings = { DATABASE_URL: database.url, SECRET_KEY, HTTP_PORT: "0", GRPC_PORT: "0" };
const config = parseConfig({ ...settings, PUBLIC_URL: "http://localhost:8080" });
const log = createLog("info");
const app = await createApp(config, { log });
const mint = createMint(app.signingKeys, config);
const verifySignature = rawVerifiers(app.signingKeys);
const signatures = new Map<string, RawSignature>();
let mode: Mode = "nothing";

const services = app.routes.services.map((service) => (service.desc === TokenService ? withModes(service) : service));
const server = await startServer({
  ...{ routes: { ...app.routes, services }, host: config.host, grpcPort: 0, httpPort: 0, log },
  gateway: async (_, res) => void res.end(),
  isReady: app.isReady,
});
const { key } = await issueKey({ app }, ["introspect"]);

process.on("message", (order: Order) => {
  if ("mint" in order) {
    const tokens = mint(order.mint);
    signatures.clear();
    for (const token of tokens) signatures.set(token, rawSignature(token));
    return answer({ tokens });
  }
  if ("mode" in order) mode = order.mode;
  answer({ time: processorTime() });
});
process.on("disconnect", () => process.exit());
answer({ ready: { port: server.grpcPort, key } });

function withModes({ impl }: Service): Service {
  const real = impl as unknown as ServiceImpl<typeof TokenService>;
  return createService(TokenService, {
    ...real,
    introspectToken(request, context) {
      if (mode === "introspect") return real.introspectToken(request, context);
      if (mode === "nothing") return {};
      const raw = signatures.get(request.token);
      if (!raw || !verifySignature[mode](raw)) throw new Error("a good signature was refused");
      return {};
    },
  });
}

function answer(message: Answer): void {
  process.send?.(message);
}
