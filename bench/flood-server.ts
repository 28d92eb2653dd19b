import { createApp } from "../src/app.ts";
import { parseConfig } from "../src/config.ts";
import { createLog, type Log } from "../src/log.ts";
import { createServiceKeyOperator } from "../src/rpc/service-key-operator.ts";
import { startServing } from "../src/serve.ts";
import { SECRET_KEY } from "../test/support/service.ts";
import { createLibuvHashing } from "./libuv-hashing.ts";

// The service as it ships, in a process of its own, with limits or without them, or with its hashes on libuv's threads.
// It counts how calls ended.

/** What the process that started this one is told. */
export interface ServerAnswer {
  readonly ready?: { readonly grpcPort: number; readonly httpPort: number; readonly key: string };
  /** How many calls ended in which way, by RPC, code and reason; since it was asked before. */
  readonly ends?: Readonly<Record<string, number>>;
}

const [databaseUrl = "", cost = "12", hashing = "threads", rateLimits = "off"] = process.argv.slice(2);
const settings = {
  ...{ DATABASE_URL: databaseUrl, SECRET_KEY, HTTP_PORT: "0", GRPC_PORT: "0", METRICS_PORT: "0" },
  ...{ PUBLIC_URL: "http://localhost:8080", EMAIL_CONFIRMATION: "optional", TRUSTED_PROXIES: "127.0.0.1" },
  ...{ BCRYPT_COST: cost, RATE_LIMITS: rateLimits },
};
const ends = new Map<string, number>();
const config = parseConfig(settings);
const log = counted(createLog("info"));
const app = await createApp(config, { log, ...(hashing === "libuv" && { hashing: createLibuvHashing() }) });
const server = await startServing(app, config, log, undefined);
const keyName = `flooded-${hashing}-${rateLimits}`;
const { key } = await createServiceKeyOperator(app).create(keyName, ["introspect"], undefined);

process.on("message", () => {
  answer({ ends: Object.fromEntries(ends) });
  ends.clear();
});
process.on("disconnect", () => process.exit());
answer({ ready: { grpcPort: server.grpcPort, httpPort: server.httpPort, key } });

function counted(log: Log): Log {
  return {
    info(fields, message) {
      log.info(fields, message);
      if (!("rpc" in fields && "code" in fields)) return;
      const reason = "reason" in fields ? ` ${fields.reason}` : "";
      const end = `${fields.rpc} ${fields.code}${reason}`;
      ends.set(end, (ends.get(end) ?? 0) + 1);
    },
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    debug: (fields, message) => log.debug(fields, message),
  };
}

function answer(message: ServerAnswer): void {
  process.send?.(message);
}
