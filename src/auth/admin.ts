import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { User } from "../db/users.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { requireFields } from "./fields.ts";
import { parseRoles, toIdentifiers } from "./identifiers.ts";
import { mailConfirmation } from "./mailed-tokens.ts";
import type { PasswordHashes } from "./password-hash.ts";
import type { Revocations } from "./revocations.ts";
import type { Caller } from "./sessions.ts";
import { newAccountFields, takenReason } from "./sign-up.ts";
import { createUserChanges } from "./user-changes.ts";
import { createUserLookup } from "./user-lookup.ts";

/** An account that an admin makes. */
export interface NewUser {
  readonly username: string;
  readonly email: string;
  readonly password: string;
  readonly locale: string;
  readonly roles: readonly string[];
  readonly emailConfirmed: boolean;
}

/** What admins do to accounts. */
export function createAdmin(
  config: Config,
  db: Database,
  hashes: PasswordHashes,
  revocations: Revocations,
  clock: Clock,
) {
  return {
    ...createUserLookup(db),
    ...createUserChanges(config, db, revocations, clock),

    /** Asks the database, since the token may be older than a demotion. */
    async requireAdmin({ userId, sessionId }: Caller): Promise<void> {
      if (!(await db.statement(({ admins }) => admins.includes(userId, sessionId))))
        throw new AuthError("PERMISSION_DENIED");
    },

    async createUser(request: NewUser, context: CallContext): Promise<User> {
      const { username, email, password, locale, roles } = requireFields({
        ...newAccountFields(config, request),
        roles: () => parseRoles(request.roles),
      });
      const identifiers = toIdentifiers(username, email);
      using place = hashes.admit(context);
      const taken = await db.statement(({ users }) => users.findTaken(identifiers));
      if (taken) throw new AuthError(takenReason(taken));
      const account = {
        ...identifiers,
        passwordHash: await hashes.hash(password, place),
        locale,
        roles,
        emailConfirmed: request.emailConfirmed,
      };
      return db.transaction(async (tx) => {
        const user = await tx.users.insert(account, "user_created", context);
        if (!user) throw new AuthError(takenReason(await tx.users.findTaken(identifiers)));
        if (!request.emailConfirmed) await mailConfirmation(tx, user);
        return user;
      });
    },
  };
}
