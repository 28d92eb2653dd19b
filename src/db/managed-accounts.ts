import { type AuditEventType, recordedChange, type Trace } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";
import { ACTIVE, ROLES_DETAIL, toUser, USER_COLUMNS, type User, type UserColumns } from "./users.ts";

/** A block of an account; `until` null: until somebody ends it. */
export interface Block {
  readonly reason: string;
  readonly until: Date | null;
}

/** Statements by which admins block and change accounts; null when there is no such account. */
export function createManagedAccountStore({ query, write }: Scope) {
  const change = async (
    event: { readonly type: AuditEventType; readonly trace: Trace; readonly detail?: string },
    sql: string,
    ...bind: unknown[]
  ): Promise<User | null> => {
    const { type, trace, detail = "NULL" } = event;
    const columns = { user_id: "id", detail };
    const [row] = await query<UserColumns>(
      ...recordedChange(`${sql} RETURNING ${USER_COLUMNS}`, bind, { type, columns, trace }),
    );
    return row ? toUser(row) : null;
  };

  return {
    /** The block that is in force. */
    async findBlock(id: number): Promise<Block | null> {
      const [row] = await query<{ reason: string | null; until: Date | null }>(
        `SELECT u.block_reason AS reason, u.blocked_until AS until FROM users u WHERE u.id = $1 AND NOT ${ACTIVE}`,
        id,
      );
      return row ? { reason: row.reason ?? "", until: row.until } : null;
    },

    unblock: (id: number, trace: Trace) =>
      change(
        { type: "user_unblocked", trace },
        "UPDATE users u SET is_active = true, blocked_until = NULL, block_reason = NULL WHERE u.id = $1",
        id,
      ),

    block: (id: number, { reason, until }: Block, trace: Trace) =>
      change(
        { type: "user_blocked", trace, detail: "nullif($2, '')" },
        "UPDATE users u SET is_active = false, block_reason = $2, blocked_until = $3 WHERE u.id = $1",
        ...[id, reason, until && write(until)],
      ),

    setRoles: (id: number, roles: readonly string[], trace: Trace) =>
      change(
        { type: "roles_changed", trace, detail: ROLES_DETAIL },
        "UPDATE users u SET roles = $2 WHERE u.id = $1",
        ...[id, roles],
      ),

    /** Deletes an account with all that hangs on it; revocations outlive it. Its sessions must have ended before. */
    delete: (id: number, trace: Trace) =>
      change({ type: "user_deleted", trace }, "DELETE FROM users u WHERE u.id = $1", id),
  };
}
