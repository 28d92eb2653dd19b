import { type Clock, createClock } from "../clock.ts";
import type { Config } from "../config.ts";
import { CHECK_NAMES, type Check, type CheckName, check, ok, skipped, type Verdict } from "./check.ts";
import { judgeClock } from "./clock.ts";
import { judgeAbsence, judgeDatabase, type OpenDatabase, openDatabase } from "./database.ts";
import { checkHashing } from "./hashing.ts";
import { checkKeys } from "./keys.ts";
import { checkOutbox, checkSmtp } from "./mail.ts";
import { judgeMigrations } from "./migrations.ts";
import { checkGrpcPort, checkHttpPort, checkMetricsPort } from "./ports.ts";
import { readSettings } from "./settings.ts";
import { checkTls } from "./tls.ts";

/** Looks at everything that the service needs, and changes nothing: no table, no key, no file. */
export async function diagnose(readConfig: () => Config, clock: Clock = createClock()): Promise<Check[]> {
  const { config, verdict } = readSettings(readConfig);
  const settings = { name: "settings", ...verdict } as const;
  if (!config) return [settings, ...skipAll(CHECK_NAMES.slice(1), "the settings are at fault")];
  const checks = await Promise.all([
    examineDatabase(config, clock),
    check("smtp", () => checkSmtp(config)),
    check("tls", () => checkTls(config, clock)),
    check("grpc-port", () => checkGrpcPort(config)),
    check("http-port", () => checkHttpPort(config)),
    check("metrics-port", () => checkMetricsPort(config)),
  ]);
  // Alone, so that it measures nothing else.
  const all = [settings, ...checks.flat(), await check("hashing", () => checkHashing(config))];
  return all.sort((a, b) => CHECK_NAMES.indexOf(a.name) - CHECK_NAMES.indexOf(b.name));
}

const IN_DATABASE = ["clock", "migrations", "keys", "outbox"] as const;

async function examineDatabase(config: Config, clock: Clock): Promise<Check[]> {
  await using resources = new AsyncDisposableStack();
  const name = "database";
  try {
    const open = await openDatabase(config, clock, resources);
    if (!open) return [{ name, ...ok(NOT_MADE) }, ...skipAll(IN_DATABASE, "there is no database yet")];
    const verdict = judgeDatabase(open, config);
    return [{ name, ...verdict }, { name: "clock", ...judgeClock(open) }, ...(await examineTables(open, config))];
  } catch (error) {
    return [{ name, ...judgeAbsence(error, config) }, ...skipAll(IN_DATABASE, "the database cannot be used")];
  }
}

const NOT_MADE = "embedded, not made yet: the first start makes it";

async function examineTables({ db }: OpenDatabase, config: Config): Promise<Check[]> {
  const schema = await db.readOnly(({ server }) => server.schema());
  const migrations: Check = { name: "migrations", ...judgeMigrations(schema) };
  if (schema.run.length === 0) return [migrations, ...skipAll(["keys", "outbox"], "there are no tables yet")];
  // A table of another version may have other columns.
  const isOther = schema.pending.length + schema.unknown.length > 0;
  const look = (name: CheckName, run: () => Promise<Verdict>) =>
    check(name, () => (isOther ? run().catch(() => skipped("its table is of another version")) : run()));
  return Promise.all([migrations, look("keys", () => checkKeys(db, config)), look("outbox", () => checkOutbox(db))]);
}

function skipAll(names: readonly CheckName[], why: string): Check[] {
  return names.map((name) => ({ name, ...skipped(why) }));
}
