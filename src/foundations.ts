import { startAudit } from "./auth/audit.ts";
import type { Foundations } from "./auth/auth.ts";
import { createHashing, type Hashing } from "./auth/hashing.ts";
import { createKeyWrapping } from "./auth/key-wrapping.ts";
import { loadKeys } from "./auth/keys.ts";
import { createPasswordHashes } from "./auth/password-hash.ts";
import { watchRevocations } from "./auth/revocations.ts";
import { createSealedTokens } from "./auth/sealed-token.ts";
import { watchServiceKeys } from "./auth/service-keys.ts";
import { watchSigningKeys } from "./auth/signing-keys.ts";
import { createThrottle } from "./auth/throttle.ts";
import { createTurnstile } from "./auth/turnstile.ts";
import { type Clock, createClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { type Connection, parseConnection } from "./db/connection.ts";
import { createDatabase, type Database, isDatabaseAway } from "./db/database.ts";
import { joinEmbedded } from "./db/embedded/join.ts";
import { limitConcurrency } from "./db/limit-concurrency.ts";
import { migrate } from "./db/migrate.ts";
import { loadDevelopmentSecret } from "./development-secret.ts";
import { messageOf } from "./failure.ts";
import type { Log } from "./log.ts";
import { type Metrics, NO_METRICS } from "./metrics.ts";

/** What the foundations are told beside the settings. */
export interface FoundationSeams {
  readonly log: Log;
  readonly clock?: Clock;
  /** Whether signing keys follow each other by this process, which is to stay; true unless given. */
  readonly upkeep?: boolean;
  /** Nobody asks for any unless given. */
  readonly metrics?: Metrics;
  /** For comparisons with another way to hash. */
  readonly hashing?: Hashing;
}

/** What the rules rest on, and what the rest of the app needs of how that was made. */
export interface Laid {
  readonly foundations: Foundations;
  readonly hashing: Hashing;
  readonly connection: Connection;
  /** Names of the migrations that ran. */
  readonly migrations: readonly string[];
}

/** Opens the database, migrated, and what lives beside it; `resources` closes all of it again. */
export async function layFoundations(
  config: Config,
  { log, clock = createClock(), upkeep = true, metrics = NO_METRICS, hashing: given }: FoundationSeams,
  resources: AsyncDisposableStack,
): Promise<Laid> {
  const { connection, db, migrations } = await openDatabase(config, log, clock, resources);
  // A connection of its own: whatever holds the others, what happens there goes on.
  const openAside = (): Database => resources.adopt(createDatabase(connection, 1, clock), (aside) => aside.close());
  const owned = <T extends { close(): Promise<unknown> }>(resource: T): T =>
    resources.adopt(resource, async ({ close }) => void (await close()));

  const secretKey = config.secretKey ?? loadDevelopmentSecret(config.dataDir);
  const wrapping = createKeyWrapping(secretKey, config.secretKeyPrevious);
  const keys = await loadKeys(db, wrapping);
  const signingKeys = owned(await watchSigningKeys(config, { db, wrapping, log, upkeep }));
  const hashing = owned(given ?? createHashing({ metrics }));
  const hashes = createPasswordHashes(keys, hashing, config.bcryptCost);
  const revocations = owned(await watchRevocations(openAside(), clock, log));
  const audit = owned(startAudit(openAside(), log));
  const serviceKeys = owned(await watchServiceKeys(db, clock, log));
  const sealedTokens = createSealedTokens(keys);
  const forStrangers = Math.max(1, Math.floor(config.databasePoolSize / CONNECTIONS_PER_TURN));
  const boundedDb = limitConcurrency(db, forStrangers);
  const throttle = createThrottle(config.rateLimits, { clock, db: boundedDb }, keys.identifier, sealedTokens);
  const turnstile = createTurnstile({ workers: forStrangers, metrics });
  const rules = { signingKeys, sealedTokens, hashes, throttle, turnstile, revocations, serviceKeys, audit };
  return { foundations: { config, clock, db, boundedDb, ...rules }, hashing, connection, migrations };
}

const CONNECTIONS_PER_TURN = 5;

async function openDatabase(config: Config, log: Log, clock: Clock, resources: AsyncDisposableStack) {
  const connection = await openConnection(config, log, resources);
  const db = createDatabase(connection, config.databasePoolSize, clock);
  resources.defer(() => db.close());
  const migrations = await migrate(connection).catch(explainAway);
  if (migrations.length > 0) log.info({ migrations }, "migrated the database");
  return { connection, db, migrations };
}

function explainAway(error: unknown): never {
  if (!isDatabaseAway(error)) throw error;
  throw new Error(`DATABASE_URL: the database cannot be reached: ${messageOf(error)}`, { cause: error });
}

async function openConnection(config: Config, log: Log, resources: AsyncDisposableStack): Promise<Connection> {
  if (config.databaseUrl) return parseConnection(config.databaseUrl.reveal());
  const server = await joinEmbedded(config.dataDir, { log: (message) => log.info({}, message) });
  resources.defer(() => server.release({ wait: true }));
  return server.connection;
}
