import type { Config } from "../config.ts";
import type { Database, Stores } from "../db/database.ts";
import type { Revocation } from "../db/session-endings.ts";
import type { Counted } from "../db/throttle.ts";
import type { User } from "../db/users.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { requireFields } from "./fields.ts";
import type { HashPlace } from "./hash-place.ts";
import { parseLocale, parseUsername } from "./identifiers.ts";
import { parseGivenPassword, parseNewPassword } from "./password.ts";
import type { PasswordHashes } from "./password-hash.ts";
import type { Revocations } from "./revocations.ts";
import type { Caller } from "./sessions.ts";
import type { Throttle } from "./throttle.ts";
import { createTurns } from "./turns.ts";

/** The password that an account has, and the one it shall have. */
export interface PasswordChange {
  readonly currentPassword: string;
  readonly newPassword: string;
}

/** What somebody changes of the own account; undefined stays as it is. */
export interface OwnChange {
  readonly username: string | undefined;
  readonly locale: string | undefined;
}

/** What people do to their own account while they are signed in. */
export function createAccount(
  config: Config,
  db: Database,
  hashes: PasswordHashes,
  throttle: Throttle,
  revocations: Revocations,
) {
  // One at a time, so that those who wait hold no connections.
  const renameInTurn = createTurns();

  /** Null when the account or the session has changed since the password was read. */
  const replacePassword = async (
    caller: Caller,
    change: PasswordChange,
    { counted, place, context }: { counted: Counted; place: HashPlace; context: CallContext },
  ) => {
    const found = await db.statement(({ ownAccount }) => ownAccount.findCredentials(caller));
    if (!found) throw new AuthError("INVALID_TOKEN");
    const { current_password: current, new_password: wanted } = requireFields({
      current_password: () => parseGivenPassword(change.currentPassword),
      new_password: () => parseNewPassword(change.newPassword, config.passwordMinLength, found),
    });
    const { passwordHash: compared } = found;
    if (!(await hashes.compare(current, compared, place)) || compared === null)
      throw new AuthError("INVALID_CREDENTIALS");
    const passwordHash = await hashes.hash(wanted, place);
    return db.transaction(async (tx): Promise<Revocation[] | null> => {
      const { userId, sessionId } = caller;
      // The account before anything else, in a statement by itself: the next one sees whatever ended the session meanwhile.
      if (
        !(await tx.users.lock(userId)) ||
        !(await tx.ownAccount.changePassword(caller, { compared, passwordHash }, context))
      )
        return null;
      const ended = await tx.sessions.endOthers(userId, sessionId, "password_changed", context);
      await tx.secretTokens.supersede(userId, "reset_password");
      if (found.emailConfirmed) await tx.outbox.addNotice("password-changed", found);
      await tx.throttle.giveBack(counted);
      return ended;
    });
  };

  return {
    /** Ends every session of the caller but the one that asks. */
    async changePassword(caller: Caller, change: PasswordChange, context: CallContext): Promise<void> {
      // It compares, then hashes.
      using place = hashes.admit(context, 2);
      await throttle.ownPassword(caller, context, async (counted) => {
        // Twice at most, as a sign-in: whatever came first has won, and the new state is judged.
        for (let attempt = 1; attempt <= 2; attempt++) {
          const ended = await replacePassword(caller, change, { counted, place, context });
          if (ended) return revocations.add(ended);
        }
        throw new AuthError("INVALID_CREDENTIALS");
      });
    },

    async updateMe(caller: Caller, change: OwnChange, context: CallContext): Promise<User> {
      const { username, locale } = requireFields({
        username: () => (change.username === undefined ? null : parseUsername(change.username)),
        locale: () => (change.locale === undefined ? null : parseLocale(change.locale)),
      });
      const names = username && { username: username.typed, usernameKey: username.key };
      const update = ({ ownAccount }: Stores) => ownAccount.update(caller, { username: names, locale }, context);
      const rename = () =>
        db.transaction(async (tx) => {
          await tx.ownAccount.lockNames();
          return update(tx);
        });
      const user = names ? await renameInTurn(context.signal, rename) : await db.statement(update);
      if (user === "taken") throw new AuthError("USERNAME_TAKEN");
      if (!user) throw new AuthError("INVALID_TOKEN");
      return user;
    },
  };
}
