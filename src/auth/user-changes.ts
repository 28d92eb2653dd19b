import { type Clock, now } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Database, Stores } from "../db/database.ts";
import type { Block } from "../db/managed-accounts.ts";
import type { Revocation } from "../db/session-endings.ts";
import type { User } from "../db/users.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError, type Reason } from "./errors.ts";
import { FieldFault, parseOptionalText, requireFields } from "./fields.ts";
import { parseRoles, parseUserId } from "./identifiers.ts";
import type { Revocations } from "./revocations.ts";
import { parseFutureTime } from "./times.ts";

/** A block or its end; `until` is for a block that ends by itself. */
export interface ActiveChange {
  readonly userId: bigint;
  readonly isActive: boolean | undefined;
  readonly reason: string;
  readonly until: Date | undefined;
}

type Verdict = { readonly user: User; readonly ended: Revocation[] } | { readonly refusal: Reason };

const ADMIN = "admin";
const MAX_BLOCK_REASON = 500;

/** What admins do to accounts that there are; the last admin stays one. */
export function createUserChanges(config: Config, db: Database, revocations: Revocations, clock: Clock) {
  /** Whether nobody but this account could do an admin's work. Others who ask wait until the transaction ends. */
  const isLastAdmin = async ({ admins, users }: Stores, id: number): Promise<boolean> => {
    await admins.lock();
    const user = await users.find(id);
    if (user?.isActive !== true || !user.roles.includes(ADMIN)) return false;
    return !(await admins.hasOtherUsable(id, config.emailConfirmation === "required"));
  };

  const settle = (verdict: Verdict): User => {
    if ("refusal" in verdict) throw new AuthError(verdict.refusal);
    revocations.add(verdict.ended);
    return verdict.user;
  };

  const setActive = (id: number, block: Block | null, context: CallContext): Promise<Verdict> =>
    db.transaction(async (tx) => {
      if (block && (await isLastAdmin(tx, id))) return { refusal: "LAST_ADMIN" };
      const { managedAccounts } = tx;
      const user = block ? await managedAccounts.block(id, block, context) : await managedAccounts.unblock(id, context);
      if (!user) return { refusal: "USER_NOT_FOUND" };
      return { user, ended: block ? await tx.sessions.endAll(id, "blocked", context) : [] };
    });

  const setRoles = (id: number, roles: readonly string[], context: CallContext): Promise<Verdict> =>
    db.transaction(async (tx) => {
      if (!roles.includes(ADMIN) && (await isLastAdmin(tx, id))) return { refusal: "LAST_ADMIN" };
      const before = (await tx.users.lock(id)) ? await tx.users.find(id) : null;
      const user = before && (await tx.managedAccounts.setRoles(id, roles, context));
      if (!user) return { refusal: "USER_NOT_FOUND" };
      const removed = before.roles.some((role) => !roles.includes(role));
      return { user, ended: removed ? await tx.sessions.endAll(id, "role_removed", context) : [] };
    });

  const deleteAccount = (id: number, context: CallContext): Promise<Verdict> =>
    db.transaction(async (tx) => {
      if (await isLastAdmin(tx, id)) return { refusal: "LAST_ADMIN" };
      const user = (await tx.users.lock(id)) ? await tx.users.find(id) : null;
      if (!user) return { refusal: "USER_NOT_FOUND" };
      // In a statement of their own: sessions that just go with the account would leave their access tokens alive.
      const ended = await tx.sessions.endAll(id, "deleted", context);
      await tx.managedAccounts.delete(id, context);
      return { user, ended };
    });

  return {
    async setUserActive({ userId, isActive, reason, until }: ActiveChange, context: CallContext): Promise<User> {
      const fields = requireFields({
        user_id: () => parseUserId(userId),
        is_active: () => parseRequired(isActive),
        reason: () => parseBlockReason(reason, isActive),
        until_time: () => parseUntil(until, isActive, now(clock)),
      });
      const block = fields.is_active ? null : { reason: fields.reason, until: fields.until_time };
      return settle(await setActive(fields.user_id, block, context));
    },

    async setUserRoles(userId: bigint, roles: readonly string[], context: CallContext): Promise<User> {
      const fields = requireFields({ user_id: () => parseUserId(userId), roles: () => parseRoles(roles) });
      return settle(await setRoles(fields.user_id, fields.roles, context));
    },

    /** Gives how many sessions were ended. */
    async revokeUserSessions(userId: bigint, context: CallContext): Promise<number> {
      const { user_id: id } = requireFields({ user_id: () => parseUserId(userId) });
      const ended = await db.transaction(async ({ users, sessions }) =>
        (await users.lock(id)) ? sessions.endAll(id, "revoked_by_admin", context) : null,
      );
      if (!ended) throw new AuthError("USER_NOT_FOUND");
      revocations.add(ended);
      return ended.length;
    },

    /** Gives back what the account was. */
    async deleteUser(userId: bigint, context: CallContext): Promise<User> {
      const { user_id: id } = requireFields({ user_id: () => parseUserId(userId) });
      return settle(await deleteAccount(id, context));
    },
  };
}

function parseRequired(value: boolean | undefined): boolean {
  if (value === undefined) throw new FieldFault("REQUIRED", "must be given");
  return value;
}

function parseBlockReason(reason: string, isActive: boolean | undefined): string {
  if (reason !== "" && isActive) throw new FieldFault("MALFORMED", "goes only with a block");
  return parseOptionalText(reason, { codePoints: MAX_BLOCK_REASON });
}

function parseUntil(until: Date | undefined, isActive: boolean | undefined, now: number): Date | null {
  if (until !== undefined && isActive) throw new FieldFault("MALFORMED", "goes only with a block");
  return parseFutureTime(until, now);
}
