import { createAddressRange } from "./address-range.ts";
import { type Audit, startAudit } from "./auth/audit.ts";
import { createAuth } from "./auth/auth.ts";
import { ownContext } from "./auth/call-context.ts";
import { createHashing, type Hashing } from "./auth/hashing.ts";
import { createKeyWrapping } from "./auth/key-wrapping.ts";
import { loadKeys } from "./auth/keys.ts";
import { createPasswordHashes } from "./auth/password-hash.ts";
import { watchRevocations } from "./auth/revocations.ts";
import { createSealedTokens, type SealedTokens } from "./auth/sealed-token.ts";
import { watchServiceKeys } from "./auth/service-keys.ts";
import { type SigningKeys, watchSigningKeys } from "./auth/signing-keys.ts";
import { createThrottle } from "./auth/throttle.ts";
import { type Clock, createClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { type Connection, parseConnection } from "./db/connection.ts";
import { createDatabase, isDatabaseAway } from "./db/database.ts";
import { joinEmbedded } from "./db/embedded/join.ts";
import { type Mail, type MailTemplate, SEND_MAIL } from "./db/mails.ts";
import { migrate } from "./db/migrate.ts";
import type { Purpose } from "./db/secret-tokens.ts";
import { loadDevelopmentSecret } from "./development-secret.ts";
import { messageOf } from "./failure.ts";
import { CLEAN_UP, CLEAN_UP_CRON, type CleanUp, type CleanUpReport, createCleanUp } from "./jobs/clean-up.ts";
import { startQueue } from "./jobs/queue.ts";
import type { Log } from "./log.ts";
import { createMailbox } from "./mail/mailbox.ts";
import type { Mailbox } from "./mail/mailbox-entry.ts";
import { type Outbox, openOutbox } from "./mail/outbox.ts";
import { createSmtp, type SendMail } from "./mail/smtp.ts";
import { renderMail } from "./mail/templates.ts";
import { type Metrics, NO_METRICS } from "./metrics.ts";
import { createRoutes } from "./rpc/create-routes.ts";
import type { Routes } from "./rpc/routes.ts";

/** What tests put in the place of the real thing. */
export interface Seams {
  readonly log: Log;
  readonly clock?: Clock;
  readonly sendMail?: SendMail;
  /** Whether signing keys follow each other by this process, which is to stay; true unless given. */
  readonly upkeep?: boolean;
  /** Nobody asks for any unless given. */
  readonly metrics?: Metrics;
  /** For comparisons with another way to hash. */
  readonly hashing?: Hashing;
}

/** The service without its sockets. */
export interface App {
  /** The way in for callers, by any listener or in process. */
  readonly routes: Routes;
  /** The way in for the operator of this machine: the same handlers, nobody asked who they are. */
  readonly operatorRoutes: Routes;
  /** Names of the migrations that this start ran. */
  readonly migrations: readonly string[];
  readonly signingKeys: SigningKeys;
  /** What became of the events that this process has noted for the audit log. */
  readonly auditCounts: Audit["counts"];
  /** Finds the account of an id, a username or an address; throws AuthError. */
  readonly findUser: (text: string) => Promise<{ readonly id: number }>;
  /** null in production, and where SMTP is set up. */
  readonly mailbox: Mailbox | null;
  /** Makes the first hash, so that nobody waits for the threads to start. */
  warmUp(): Promise<void>;
  /** Starts to send what is in the outbox, and to clean up each hour. */
  startJobs(): Promise<void>;
  /** Deletes what is over, at once. */
  cleanUp(): Promise<CleanUpReport>;
  /** Whether the database answers. */
  isReady(): Promise<boolean>;
  close(): Promise<void>;
}

/** Joins database, rules and mail: migrated, with its keys at hand and ready to be called. */
export async function createApp(config: Config, seams: Seams): Promise<App> {
  const { log, clock = createClock(), sendMail, upkeep = true, metrics = NO_METRICS } = seams;
  const { hashing = createHashing({ metrics }) } = seams;
  await using resources = new AsyncDisposableStack();
  const { connection, db, migrations } = await openDatabase(config, log, clock, resources);
  const secretKey = config.secretKey ?? loadDevelopmentSecret(config.dataDir);
  const wrapping = createKeyWrapping(secretKey, config.secretKeyPrevious);
  const keys = await loadKeys(db, wrapping);
  const signingKeys = await watchSigningKeys(config, { db, wrapping, log, upkeep });
  resources.defer(() => signingKeys.close());
  resources.defer(() => hashing.close());
  const hashes = createPasswordHashes(keys, hashing, config.bcryptCost);
  // A connection of its own: whatever holds the others, revocations are known.
  const watching = createDatabase(connection, 1, clock);
  resources.defer(() => watching.close());
  const revocations = await watchRevocations(watching, clock, log);
  resources.defer(() => revocations.close());
  // As well: no call waits for what is written behind its back.
  const recording = createDatabase(connection, 1, clock);
  resources.defer(() => recording.close());
  const audit = startAudit(recording, log);
  resources.defer(() => audit.close());
  const serviceKeys = await watchServiceKeys(db, clock, log);
  resources.defer(() => serviceKeys.close());
  const sealedTokens = createSealedTokens(keys);
  const throttle = createThrottle(config.rateLimits, db, keys.identifier, sealedTokens);
  const auth = createAuth({
    ...{ config, clock, db, signingKeys, sealedTokens, hashes, throttle, revocations, serviceKeys, audit },
  });
  const render = createRender(config.publicUrl, sealedTokens);
  const cleanUp = createCleanUp({ db, settings: config, log, tell: createTell(log, metrics) });
  resources.defer(() => cleanUp.close());
  metrics.observe({
    hashing: hashing.load,
    connections: db.connections,
    audit: audit.counts,
    mails: () => db.statement(({ outbox }) => outbox.backlog()),
  });
  const owned = resources.move();
  return {
    ...createRoutes(auth, {
      ...{ log, metrics, isUnavailable: isDatabaseAway },
      isTrustedProxy: createAddressRange(config.trustedProxies),
      retryAfter: hashing.retryAfter,
    }),
    migrations,
    signingKeys,
    auditCounts: audit.counts,
    findUser: auth.admin.findUser,
    mailbox: config.smtpUrl || config.production ? null : createMailbox(db, render),
    async warmUp() {
      using place = hashes.admit(ownContext(WARM_UP_MS));
      await hashes.hash("", place);
    },
    async startJobs() {
      const outbox = await openOutbox({ db, log, sendMail: sendMail ?? createSendMail(config, log), render });
      owned.defer(() => outbox.close());
      await startJobs({ connection, log, outbox, cleanUp }, owned);
    },
    cleanUp: cleanUp.run,
    isReady: () =>
      db.ping().then(
        () => true,
        () => false,
      ),
    close: () => owned.disposeAsync(),
  };
}

const WARM_UP_MS = 30_000;

interface Jobs {
  readonly connection: Connection;
  readonly log: Log;
  readonly outbox: Outbox;
  readonly cleanUp: CleanUp;
}

async function startJobs({ connection, log, outbox, cleanUp }: Jobs, resources: AsyncDisposableStack): Promise<void> {
  const tasks = { [SEND_MAIL]: outbox.send, [CLEAN_UP]: async () => void (await cleanUp.run()) };
  const queue = await startQueue(connection, { tasks, cron: [CLEAN_UP_CRON] }, log);
  resources.defer(() => queue.close());
  // Ends its run before: the queue waits for its jobs.
  resources.defer(() => cleanUp.close());
}

function createTell(log: Log, metrics: Metrics): (report: CleanUpReport) => void {
  return (report) => {
    log.info(report, "cleaned up");
    metrics.cleanedUp(report);
  };
}

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

/** What the token in a mail is good for; a notice shows none. */
const MAILED_PURPOSES: Record<MailTemplate, Purpose | null> = {
  "confirm-email": "confirm_email",
  "reset-password": "reset_password",
  "choose-password": "reset_password",
  "password-changed": null,
  "address-in-use": null,
  "already-confirmed": null,
};

/** Mails are written when they are sent or shown: the tokens in them are kept nowhere. */
function createRender(publicUrl: string, { sealSecret, secretCode }: SealedTokens) {
  return ({ template, secretTokenId, username }: Mail) => {
    const purpose = MAILED_PURPOSES[template];
    const token = secretTokenId && purpose && sealSecret(secretTokenId, purpose);
    const code = secretTokenId && purpose === "confirm_email" ? secretCode(secretTokenId) : null;
    return { ...renderMail(template, { username, publicUrl, token, code }), code };
  };
}

function createSendMail(config: Config, log: Log): SendMail {
  if (config.smtpUrl) return createSmtp(config.smtpUrl, config.mailFrom, config.publicUrl);
  return async ({ id }) =>
    log.info({ mail: `${config.publicUrl}/dev/mailbox/${id}` }, "a mail is in the development mailbox");
}
