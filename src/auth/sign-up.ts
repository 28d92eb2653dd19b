import type { Config } from "../config.ts";
import type { Database, Stores } from "../db/database.ts";
import type { Grant } from "../db/sessions.ts";
import { NOT_COUNTED } from "../db/throttle.ts";
import type { Identifiers, User } from "../db/users.ts";
import { type CallContext, unlessLeft } from "./call-context.ts";
import { AuthError, type Reason } from "./errors.ts";
import { requireFields } from "./fields.ts";
import type { HashPlace } from "./hash-place.ts";
import { createHiddenSignUp, type Newcomer } from "./hidden-sign-up.ts";
import { parseEmail, parseLocale, parseUsername, toIdentifiers } from "./identifiers.ts";
import { mailConfirmation } from "./mailed-tokens.ts";
import { parseNewPassword } from "./password.ts";
import type { PasswordHashes } from "./password-hash.ts";
import type { Throttle } from "./throttle.ts";
import type { IssuedTokens, IssueTokens } from "./tokens.ts";

/** Somebody who asks for an account. */
export interface SignUp {
  readonly username: string;
  readonly email: string;
  readonly password: string;
  readonly locale: string;
}

/** The new account; signed in if its address need not be confirmed. */
export interface SignedUp {
  /** null where accounts are hidden: there may be no new one. */
  readonly user: User | null;
  readonly tokens: IssuedTokens | null;
}

type Verdict = { readonly user: User; readonly grant: Grant | null } | { readonly refusal: Reason };

/** Makes an account and mails a confirmation. */
export function createSignUp(
  config: Config,
  db: Database,
  hashes: PasswordHashes,
  throttle: Throttle,
  issueTokens: IssueTokens,
) {
  const confirmationRequired = config.emailConfirmation === "required";
  const signUpHidden = config.accountDisclosure === "hidden" ? createHiddenSignUp(db, hashes) : null;

  const make = async (
    newcomer: Newcomer,
    mayMail: boolean,
    place: HashPlace,
    context: CallContext,
  ): Promise<SignedUp> => {
    const { identifiers, password, locale } = newcomer;
    const taken = await db.statement(unlessLeft(context, ({ users }) => users.findTaken(identifiers)));
    if (taken) context.concerns({ userId: taken.id });
    // One bcrypt operation whether the names are taken or not: the time taken tells nothing.
    const passwordHash = taken ? null : await hashes.hash(password, place);
    const holderWithSamePassword =
      taken && (await hashes.compare(password, taken.passwordHash, place)) ? taken.id : null;
    const verdict = await db.transaction(async (tx): Promise<Verdict> => {
      const row = passwordHash && { ...identifiers, passwordHash, locale, roles: [], emailConfirmed: false };
      const user = row && (await tx.users.insert(row, "sign_up", context));
      if (!user) return { refusal: await refuseTaken(tx, identifiers, holderWithSamePassword, mayMail) };
      if (mayMail) await mailConfirmation(tx, user);
      return confirmationRequired ? { user, grant: null } : signIn(tx, config, user, passwordHash, context);
    });
    if ("refusal" in verdict) throw new AuthError(verdict.refusal);
    return { user: verdict.user, tokens: verdict.grant && issueTokens(verdict.grant) };
  };

  return async (request: SignUp, context: CallContext): Promise<SignedUp> => {
    const { username, email, password, locale } = requireFields(newAccountFields(config, request));
    const newcomer = { identifiers: toIdentifiers(username, email), password, locale };
    await throttle.refuseReached.signUp(context);
    using place = hashes.admit(context);
    return await throttle.signUp(email.key, context, async (mayMail) => {
      if (!signUpHidden) return make(newcomer, mayMail, place, context);
      await signUpHidden(newcomer, mayMail, place, context);
      return { user: null, tokens: null };
    });
  };
}

/** Which name an account that is in the way has taken: the address, where both are. null: it is gone again. */
export function takenReason(owner: { readonly byEmail: boolean } | null): Reason {
  return owner?.byEmail === false ? "USERNAME_TAKEN" : "EMAIL_TAKEN";
}

/** Readers of what a new account is made from; the admin's way in has the same. */
export function newAccountFields({ passwordMinLength }: Config, request: SignUp) {
  return {
    username: () => parseUsername(request.username),
    email: () => parseEmail(request.email),
    password: () => parseNewPassword(request.password, passwordMinLength, request),
    locale: () => parseLocale(request.locale),
  };
}

/**
 * Says which name is taken. Of an address that nobody has proved yet the holder gets a fresh confirmation, and unless
 * the account is the one that was found to have the same password, that is remembered: which password is the holder's
 * is not known, so neither goes live.
 */
async function refuseTaken(
  tx: Stores,
  identifiers: Identifiers,
  holderWithSamePassword: number | null,
  mayMail: boolean,
): Promise<Reason> {
  const owner = await tx.users.findTaken(identifiers);
  if (owner?.byEmail && !owner.emailConfirmed && (await tx.users.lock(owner.id))) {
    await tx.addresses.contest(owner.id, owner.id !== holderWithSamePassword);
    if (mayMail) await mailConfirmation(tx, owner);
  }
  return takenReason(owner);
}

async function signIn(
  tx: Stores,
  config: Config,
  user: User,
  passwordHash: string,
  context: CallContext,
): Promise<Verdict> {
  const opening = {
    userId: user.id,
    passwordHash,
    renewedHash: null,
    confirmationRequired: false,
    rotates: true,
    deviceName: "",
    counted: NOT_COUNTED,
  };
  const opened = await tx.sessions.open(opening, config, context);
  if (!opened) throw new Error("a new account could not be signed in");
  return { user: opened.user, grant: opened.grant };
}
