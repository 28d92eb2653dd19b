/** What the audit log tells of: the closed list, which the .proto explains. */
export const AUDIT_EVENT_TYPES = [
  ...(["sign_up", "sign_up_refused", "sign_in", "sign_in_failed", "sign_out"] as const),
  ...(["session_revoked", "sessions_revoked", "refresh_token_reused"] as const),
  ...(["email_confirmed", "email_confirmation_failed", "confirmation_requested"] as const),
  ...(["password_reset_requested", "password_reset", "password_reset_failed"] as const),
  ...(["password_changed", "password_change_failed", "account_updated"] as const),
  ...(["user_created", "user_blocked", "user_unblocked", "roles_changed", "user_deleted"] as const),
  ...(["service_key_created", "service_key_revoked", "service_key_refused"] as const),
  ...(["token_refused", "permission_denied", "rate_limited"] as const),
  ...(["signing_key_created", "signing_key_retired"] as const),
];

/** One of the list. */
export type AuditEventType = (typeof AUDIT_EVENT_TYPES)[number];

/** Who makes a change, as the log names them, and from which IP address; "" when that is not known. */
export interface Trace {
  readonly actor: string;
  readonly address: string;
}

/** The operator of the machine. */
export const OPERATOR: Trace = { actor: "cli", address: "" };

/** The service, of itself. */
export const SERVICE: Trace = { actor: "service", address: "" };

/** What an event says beside type and trace: SQL expressions over the rows that it tells of. */
export type EventColumns = Partial<
  Record<"reason" | "user_id" | "session_id" | "device_name" | "detail" | "count", string>
>;

/**
 * SQL that records an event for each row of `from`, as one CTE of the statement that makes the change: so that neither
 * is without the other, and none costs a round trip. Its parameters are `$first` and the next, `traceValues`.
 */
export function recordEvents(type: AuditEventType, from: string, columns: EventColumns, first: number): string {
  const names = Object.keys(columns).map((name) => `, ${name}`);
  const values = Object.values(columns).map((value) => `, ${value}`);
  return `INSERT INTO audit_events (type, actor, address${names.join("")})
    SELECT '${type}', $${first}::text, $${first + 1}::inet${values.join("")} FROM ${from}`;
}

/** What the parameters of `recordEvents` are bound to. */
export function traceValues({ actor, address }: Trace): readonly [string, string | null] {
  return [actor, address || null];
}

/** What the audit log says of each row of a change; `when` is SQL that must be true for it. */
export interface ChangeEvent {
  readonly type: AuditEventType;
  readonly columns: EventColumns;
  readonly trace: Trace;
  readonly when?: string;
}

/** A change that gives rows, with an event for each of them in the same statement. */
export function recordedChange(
  sql: string,
  bind: readonly unknown[],
  event: ChangeEvent,
): readonly [sql: string, ...bind: unknown[]] {
  const from = event.when ? `change WHERE ${event.when}` : "change";
  const events = recordEvents(event.type, from, event.columns, bind.length + 1);
  return [
    `WITH change AS (${sql}), event AS (${events}) SELECT * FROM change`,
    ...[...bind, ...traceValues(event.trace)],
  ];
}
