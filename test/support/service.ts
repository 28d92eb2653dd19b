import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { type App, createApp } from "../../src/app.ts";
import { type Clock, createClock } from "../../src/clock.ts";
import { type Config, parseConfig } from "../../src/config.ts";
import type { OutgoingMail } from "../../src/mail/smtp.ts";
import type { Metrics } from "../../src/metrics.ts";
import { startServing } from "../../src/serve.ts";
import { createTestLog } from "./log.ts";
import { createTestDatabase, type TestDatabase } from "./postgres.ts";

/** The service as it ships, on free ports, with a clock, a mailbox and a log that tests can look into. */
export interface TestService {
  readonly app: App;
  readonly config: Config;
  readonly database: TestDatabase;
  readonly clock: Clock;
  /** Mails that were sent, oldest first; with `smtpUrl` they go there instead. */
  readonly mails: OutgoingMail[];
  /** Every line of the log. */
  readonly lines: string[];
  readonly auth: Client<typeof AuthService>;
  readonly admin: Client<typeof AdminService>;
  readonly grpcUrl: string;
  readonly httpUrl: string;
  stop(): Promise<void>;
}

/** What a test wants otherwise; a shared `database`, `clock` and `mails` make a second process of one service. */
export interface TestOptions {
  readonly config?: Partial<Config>;
  readonly database?: TestDatabase;
  readonly clock?: Clock;
  readonly mails?: OutgoingMail[];
  readonly metrics?: Metrics;
}

export const SECRET_KEY = "a secret key for tests, of no use elsewhere";

/** Time goes in leaps in tests, and processes learn of a rotation only after a second of the real one. */
const LONG = 3_650 * 24 * 3_600_000;

/** Starts a service; with a database of its own unless one is given. */
export async function startService({
  config: changes = {},
  clock = createClock(),
  mails = [],
  ...options
}: TestOptions = {}): Promise<TestService> {
  const database = options.database ?? (await createTestDatabase());
  const settings = {
    DATABASE_URL: database.url,
    SECRET_KEY,
    HTTP_PORT: "0",
    GRPC_PORT: "0",
    METRICS_PORT: "0",
    PUBLIC_URL: "http://localhost:8080",
  };
  const config: Config = {
    ...parseConfig(settings),
    bcryptCost: 4,
    signingKeyMaxAge: LONG,
    rateLimits: null,
    ...changes,
  };
  const lines: string[] = [];
  const log = createTestLog(({ level, message, fields }) => lines.push(JSON.stringify({ level, ...fields, message })));
  const captured = { sendMail: async (mail: OutgoingMail) => void mails.push(mail) };
  const seams = { log, clock, ...(options.metrics && { metrics: options.metrics }) };
  const app = await createApp(config, { ...seams, ...(config.smtpUrl === null && captured) });
  const server = await startServing(app, config, log, undefined);
  const grpcUrl = `http://${config.host}:${server.grpcPort}`;
  const transport = createGrpcTransport({ baseUrl: grpcUrl });
  return {
    ...{ app, config, database, clock, mails, lines, grpcUrl },
    auth: createClient(AuthService, transport),
    admin: createClient(AdminService, transport),
    httpUrl: `http://${config.host}:${server.httpPort}`,
    async stop() {
      await server.close();
      await app.close();
      if (!options.database) await database.drop();
    },
  };
}
