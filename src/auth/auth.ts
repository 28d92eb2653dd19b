import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import { createAccessTokens } from "./access-token.ts";
import { createAccount } from "./account.ts";
import { createAdmin } from "./admin.ts";
import type { Audit } from "./audit.ts";
import { createAuditLog } from "./audit-log.ts";
import { createEmailConfirmation } from "./email-confirmation.ts";
import type { PasswordHashes } from "./password-hash.ts";
import { createPasswordReset } from "./password-reset.ts";
import type { Revocations } from "./revocations.ts";
import type { SealedTokens } from "./sealed-token.ts";
import type { ServiceKeys } from "./service-keys.ts";
import { createSessions } from "./sessions.ts";
import { createSignIn } from "./sign-in.ts";
import { createSignUp } from "./sign-up.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { Throttle } from "./throttle.ts";
import { createIssueTokens } from "./tokens.ts";
import type { Turnstile } from "./turnstile.ts";

/** Everything that the rules rest on. */
export interface Foundations {
  readonly config: Config;
  readonly clock: Clock;
  readonly db: Database;
  /** For what anybody may ask, of which a flood must not hold every connection: a few statements at once. */
  readonly boundedDb: Database;
  readonly signingKeys: SigningKeys;
  readonly sealedTokens: SealedTokens;
  readonly hashes: PasswordHashes;
  readonly throttle: Throttle;
  readonly turnstile: Turnstile;
  readonly revocations: Revocations;
  readonly serviceKeys: ServiceKeys;
  readonly audit: Audit;
}

/** The rules: what can be done with accounts, sessions and tokens, by noun. */
export function createAuth(foundations: Foundations) {
  const { config, clock, db, signingKeys, sealedTokens, hashes, revocations, serviceKeys, audit } = foundations;
  const { boundedDb, throttle, turnstile } = foundations;
  const accessTokens = createAccessTokens(
    signingKeys,
    { issuer: config.jwtIssuer, audience: config.jwtAudience },
    clock,
  );
  const issueTokens = createIssueTokens(accessTokens, sealedTokens);
  return {
    signUp: createSignUp(config, boundedDb, hashes, throttle, issueTokens),
    signIn: createSignIn(config, boundedDb, hashes, throttle, issueTokens, revocations),
    emailConfirmation: createEmailConfirmation(config, db, throttle, turnstile, sealedTokens, revocations, audit),
    passwordReset: createPasswordReset(config, db, hashes, throttle, turnstile, sealedTokens, revocations, audit),
    sessions: createSessions(config, db, accessTokens, sealedTokens, issueTokens, revocations),
    account: createAccount(config, db, hashes, throttle, revocations),
    admin: createAdmin(config, db, hashes, revocations, clock),
    auditLog: createAuditLog(db, audit),
    audit,
    signingKeys,
    serviceKeys,
    revocations,
  };
}

/** See createAuth. */
export type Auth = ReturnType<typeof createAuth>;
