import { randomUUID } from "node:crypto";
import type { Database, Stores } from "../db/database.ts";
import type { Identifiers, NewAccount, Taken } from "../db/users.ts";
import { type CallContext, unlessLeft } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import type { HashPlace } from "./hash-place.ts";
import { mailConfirmation } from "./mailed-tokens.ts";
import type { PasswordHashes } from "./password-hash.ts";

/** Somebody who asks for an account, checked. */
export interface Newcomer {
  readonly identifiers: Identifiers;
  readonly password: string;
  readonly locale: string;
}

/**
 * Signs up where nobody is told which addresses have accounts: only the mail says whether there is a new one. A username
 * that is taken is told. The same bcrypt operation, statements and rows whether the address has an account or not.
 */
export function createHiddenSignUp(db: Database, hashes: PasswordHashes) {
  /** The account with the address, if the password can be compared with its own at the cost of a new hash. */
  const findRival = (taken: Taken | null): Taken | null => {
    if (!taken || taken.byUsername || taken.emailConfirmed) return null;
    return taken.passwordHash !== null && !hashes.isOutdated(taken.passwordHash) ? taken : null;
  };

  return async (newcomer: Newcomer, mayMail: boolean, place: HashPlace, context: CallContext): Promise<void> => {
    const { identifiers, password, locale } = newcomer;
    const taken = await db.statement(unlessLeft(context, ({ users }) => users.findTaken(identifiers, "username")));
    if (taken) context.concerns({ userId: taken.id });
    const rival = findRival(taken);
    const passwordHash = rival ? null : await hashes.hash(password, place);
    const isSame = rival !== null && (await hashes.compare(password, rival.passwordHash, place));
    const account = { ...identifiers, passwordHash, locale, roles: [], emailConfirmed: false };
    const verdict = { holderWithSamePassword: isSame ? rival.id : null, mayMail };
    const hasName = !taken?.byUsername && (await db.transaction((tx) => register(tx, account, verdict, context)));
    if (!hasName) throw new AuthError("USERNAME_TAKEN");
  };
}

/**
 * Makes the account, or of an address that has one only holds back the username as the account would have, and mails
 * whoever has the address, if that may be. False when the username is taken.
 */
async function register(
  tx: Stores,
  account: NewAccount,
  { holderWithSamePassword, mayMail }: { readonly holderWithSamePassword: number | null; readonly mayMail: boolean },
  context: CallContext,
): Promise<boolean> {
  const holder = await tx.addresses.lock(account.emailKey);
  const row = holder ? { ...account, ...NO_WAY_IN, emailKey: `nobody:${randomUUID()}` } : account;
  const made = await tx.users.insert(row, "sign_up", context, holder?.id);
  if (!made) return false;
  const contested = holder && !holder.emailConfirmed && holder.id !== holderWithSamePassword ? holder : null;
  await tx.addresses.contest((contested ?? made).id, contested !== null);
  const addressee = holder ?? made;
  const template = addressee.emailConfirmed ? "address-in-use" : "confirm-email";
  if (mayMail) await mailConfirmation(tx, addressee, null, template);
  return true;
}

// Nothing of the address that was given is kept; its key has no @, so that no login is it.
const NO_WAY_IN = { email: "", passwordHash: null };
