import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import type { Audit } from "../auth/audit.ts";
import { AuthError, type Reason } from "../auth/errors.ts";
import type { AuditEventType } from "../db/audit-recording.ts";
import { reasonOf } from "../wire/error-details.ts";
import { type FindSource, subjectKey } from "./call-context.ts";
import { callersOf } from "./caller.ts";
import { refused } from "./errors.ts";

/** What the audit log calls it when the rules refuse one of these, for whatever reason. */
const FAILURES: ReadonlyMap<DescMethod, AuditEventType> = new Map<DescMethod, AuditEventType>([
  [AuthService.method.signUp, "sign_up_refused"],
  [AuthService.method.signIn, "sign_in_failed"],
  [AuthService.method.confirmEmail, "email_confirmation_failed"],
  [AuthService.method.resetPassword, "password_reset_failed"],
  [AuthService.method.changePassword, "password_change_failed"],
]);

/** The same, for those of `VAIN`; every other refusal of these is told elsewhere or by its reason. */
const ASKED_IN_VAIN: ReadonlyMap<DescMethod, AuditEventType> = new Map<DescMethod, AuditEventType>([
  [AuthService.method.refreshToken, "token_refused"],
  [AuthService.method.requestEmailConfirmation, "confirmation_requested"],
  [AuthService.method.requestPasswordReset, "password_reset_requested"],
]);

const VAIN: readonly Reason[] = ["INVALID_ARGUMENT", "OVERLOADED"];

/** What it calls every other refusal; for reasons that are missing it has nothing to tell. */
const REFUSALS: Readonly<Partial<Record<Reason, AuditEventType>>> = {
  INVALID_TOKEN: "token_refused",
  PERMISSION_DENIED: "permission_denied",
  LAST_ADMIN: "permission_denied",
  SESSION_NOT_FOUND: "permission_denied",
  INVALID_CREDENTIALS: "permission_denied",
  RATE_LIMITED: "rate_limited",
};

/** Faults of the service, about which the log of the process tells. */
const OWN_FAULTS: readonly Reason[] = ["UNAVAILABLE", "INTERNAL"];

type Request = UnaryRequest | StreamRequest;

/** Builds the interceptor that has the audit log tell of each call that is refused: who, from where and why. */
export function createRefusalRecord(audit: Audit, findSource: FindSource): Interceptor {
  const record = (req: Request, error: AuthError) => {
    const event = describe(req, error.reason);
    if (!event || error.isRecorded) return;
    const { contextValues: values, header } = req;
    const { person } = callersOf(values);
    const { actor, address } = findSource({ values, header });
    audit.note({ ...event, reason: error.reason, actor, address, ...person, ...values.get(subjectKey) });
  };
  return (next) => async (req) => {
    try {
      return await next(req);
    } catch (error) {
      const refusal = refusalIn(error);
      if (refusal) record(req, refusal);
      throw error;
    }
  };
}

// Listeners have errors of their own: for calls that they end in time, and for messages that cannot be read.
function refusalIn(error: unknown): AuthError | null {
  if (error instanceof AuthError) return error;
  if (!(error instanceof ConnectError)) return null;
  if (error.code === Code.DeadlineExceeded) return new AuthError("DEADLINE_EXCEEDED");
  return reasonOf(error) === "INVALID_ARGUMENT" ? new AuthError("INVALID_ARGUMENT") : null;
}

function describe({ method, contextValues }: Request, reason: Reason) {
  if (OWN_FAULTS.includes(reason)) return null;
  const { isAdmitted, refusedKeyId } = callersOf(contextValues);
  // Who calls is not looked at where the message cannot be read.
  const isMade = isAdmitted || contextValues.get(refused) !== undefined;
  const failure = FAILURES.get(method) ?? (VAIN.includes(reason) ? ASKED_IN_VAIN.get(method) : undefined);
  if (failure && isMade) return { type: failure };
  if (!isAdmitted && refusedKeyId !== undefined) return { type: "service_key_refused" as const, detail: refusedKeyId };
  const type = REFUSALS[reason];
  return type ? { type } : null;
}
