import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { AuthError, FieldViolation, Reason } from "../auth/errors.ts";
import { ERROR_DOMAIN } from "../wire/error-details.ts";

/** What each reason is on the wire: gRPC code, status of the HTTP routes, message. */
export const REASONS: Readonly<Record<Reason, { code: Code; httpStatus: number; message: string }>> = {
  INVALID_ARGUMENT: { code: Code.InvalidArgument, httpStatus: 422, message: "Invalid request" },
  EMAIL_TAKEN: { code: Code.AlreadyExists, httpStatus: 409, message: "Account with this email already exists" },
  USERNAME_TAKEN: { code: Code.AlreadyExists, httpStatus: 409, message: "Account with this username already exists" },
  INVALID_CREDENTIALS: { code: Code.Unauthenticated, httpStatus: 401, message: "Incorrect username or password" },
  EMAIL_NOT_CONFIRMED: { code: Code.FailedPrecondition, httpStatus: 401, message: "Email not confirmed" },
  USER_BLOCKED: { code: Code.PermissionDenied, httpStatus: 403, message: "User is blocked" },
  INVALID_TOKEN: { code: Code.Unauthenticated, httpStatus: 401, message: "Invalid or expired token" },
  PERMISSION_DENIED: { code: Code.PermissionDenied, httpStatus: 403, message: "Permission denied" },
  USER_NOT_FOUND: { code: Code.NotFound, httpStatus: 404, message: "User not found" },
  SESSION_NOT_FOUND: { code: Code.NotFound, httpStatus: 404, message: "Session not found" },
  LAST_ADMIN: {
    code: Code.FailedPrecondition,
    httpStatus: 409,
    message: "The last active admin cannot be blocked or demoted",
  },
  RATE_LIMITED: { code: Code.ResourceExhausted, httpStatus: 429, message: "Too many attempts, try again later" },
  OVERLOADED: { code: Code.Unavailable, httpStatus: 503, message: "Service temporarily unavailable" },
  UNAVAILABLE: { code: Code.Unavailable, httpStatus: 503, message: "Service temporarily unavailable" },
  DEADLINE_EXCEEDED: { code: Code.DeadlineExceeded, httpStatus: 504, message: "Deadline exceeded" },
  INTERNAL: { code: Code.Internal, httpStatus: 500, message: "Internal error" },
};

/** The wire error of a reason, with its details. */
export function refusal(reason: Reason, more: Partial<Pick<AuthError, "violations" | "retryAfterMs">> = {}) {
  const { code, message } = REASONS[reason];
  const error = new ConnectError(message, code, undefined, [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { domain: ERROR_DOMAIN, reason }) },
  ]);
  if (more.violations?.length) addViolations(error, more.violations);
  if (more.retryAfterMs !== undefined) addRetry(error, more.retryAfterMs);
  return error;
}

function addViolations(error: ConnectError, violations: readonly FieldViolation[]): void {
  const fieldViolations = violations.map(({ field, reason, description }) => ({ field, reason, description }));
  error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
}

function addRetry(error: ConnectError, retryAfterMs: number): void {
  const ms = Math.max(0, Math.ceil(retryAfterMs));
  const value: MessageInitShape<typeof RetryInfoSchema> = {
    retryDelay: { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 },
  };
  error.details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, value) });
  error.metadata.set("grpc-retry-pushback-ms", String(ms));
}
