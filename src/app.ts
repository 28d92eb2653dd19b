import { createAddressRange } from "./address-range.ts";
import type { Audit } from "./auth/audit.ts";
import { createAuth } from "./auth/auth.ts";
import { ownContext } from "./auth/call-context.ts";
import type { SealedTokens } from "./auth/sealed-token.ts";
import type { SigningKeys } from "./auth/signing-keys.ts";
import type { Config } from "./config.ts";
import type { Connection } from "./db/connection.ts";
import { isDatabaseAway } from "./db/database.ts";
import { type Mail, type MailTemplate, SEND_MAIL } from "./db/mails.ts";
import type { Block } from "./db/managed-accounts.ts";
import type { Purpose } from "./db/secret-tokens.ts";
import { type FoundationSeams, layFoundations } from "./foundations.ts";
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
export interface Seams extends FoundationSeams {
  readonly sendMail?: SendMail;
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
  /** Why an account is blocked and until when; null while it is not. */
  readonly findBlock: (id: number) => Promise<Block | null>;
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
  const { log, sendMail, metrics = NO_METRICS } = seams;
  await using resources = new AsyncDisposableStack();
  const { connection, migrations, hashing, foundations } = await layFoundations(config, seams, resources);
  const { clock, db, signingKeys, sealedTokens, hashes, audit } = foundations;
  const auth = createAuth(foundations);
  const render = createRender(config.publicUrl, sealedTokens);
  const cleanUp = createCleanUp({ db, settings: config, log, tell: createTell(log, metrics) });
  resources.defer(() => cleanUp.close());
  metrics.observe({
    hashing: hashing.load,
    strangers: foundations.turnstile.load,
    connections: foundations.boundedDb.connections,
    audit: audit.counts,
    clockBehindMs: () => clock.behind,
    mails: () => db.statement(({ outbox }) => outbox.backlog()),
  });
  const owned = resources.move();
  return {
    ...createRoutes(auth, {
      ...{ log, metrics, isUnavailable: isDatabaseAway },
      isTrustedProxy: createAddressRange(config.trustedProxies),
      rooms: { hash: hashing.retryAfter, turn: foundations.turnstile.retryAfter },
    }),
    migrations,
    signingKeys,
    auditCounts: audit.counts,
    findUser: auth.admin.findUser,
    findBlock: auth.admin.findBlock,
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
