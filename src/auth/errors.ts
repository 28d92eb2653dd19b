/** Why a call is refused: the closed list of `ErrorReason` in error.proto. */
export type Reason =
  | "INVALID_ARGUMENT"
  | "EMAIL_TAKEN"
  | "USERNAME_TAKEN"
  | "INVALID_CREDENTIALS"
  | "EMAIL_NOT_CONFIRMED"
  | "USER_BLOCKED"
  | "INVALID_TOKEN"
  | "PERMISSION_DENIED"
  | "USER_NOT_FOUND"
  | "SESSION_NOT_FOUND"
  | "LAST_ADMIN"
  | "RATE_LIMITED"
  | "OVERLOADED"
  | "UNAVAILABLE"
  | "DEADLINE_EXCEEDED"
  | "INTERNAL";

/** Why one field is refused: the closed list of `FieldReason` in error.proto. */
export type FieldReason =
  | "REQUIRED"
  | "MALFORMED"
  | "TOO_SHORT"
  | "TOO_LONG"
  | "OUT_OF_RANGE"
  | "PASSWORD_TOO_COMMON"
  | "PASSWORD_LIKE_ACCOUNT";

/** One faulty field: its name in the .proto, the reason, and an English sentence that never holds the value. */
export interface FieldViolation {
  readonly field: string;
  readonly reason: FieldReason;
  readonly description: string;
}

/** A refusal that the caller is told; anything else that is thrown is INTERNAL. */
export class AuthError extends Error {
  readonly reason: Reason;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
  /** Whether the audit log has what it tells of already. */
  readonly isRecorded: boolean;

  constructor(
    reason: Reason,
    more: {
      violations?: readonly FieldViolation[];
      retryAfterMs?: number;
      isRecorded?: boolean;
      cause?: unknown;
    } = {},
  ) {
    super(reason, { cause: more.cause });
    this.name = "AuthError";
    this.reason = reason;
    this.violations = more.violations ?? [];
    this.retryAfterMs = more.retryAfterMs;
    this.isRecorded = more.isRecorded ?? false;
  }
}

/** An INVALID_ARGUMENT that names one field. */
export function invalidField(field: string, reason: FieldReason, description: string): AuthError {
  return new AuthError("INVALID_ARGUMENT", { violations: [{ field, reason, description }] });
}
