import { Code, ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AuthError, type Reason } from "../auth/errors.ts";
import { REASONS } from "../rpc/reasons.ts";
import { reasonOf, type Violation, violationsOf } from "../wire/error-details.ts";

/** Why a request was refused before any RPC was called. */
export type HttpReason = "NOT_FOUND" | "METHOD_NOT_ALLOWED" | "PAYLOAD_TOO_LARGE" | "UNSUPPORTED_MEDIA_TYPE";

/** A refusal that only plain HTTP knows. */
export class HttpError extends Error {
  readonly reason: HttpReason;
  readonly headers: Readonly<Record<string, string>>;

  constructor(reason: HttpReason, headers: Readonly<Record<string, string>> = {}) {
    super(reason);
    this.name = "HttpError";
    this.reason = reason;
    this.headers = headers;
  }
}

/** What a caller is told of an error. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly violations: readonly Violation[];
  readonly headers: Readonly<Record<string, string>>;
}

/** Tells what a caller may know of an error; null for one that nobody foresaw. */
export function toRefusal(error: unknown): Refusal | null {
  if (error instanceof HttpError) return plainRefusal(error);
  if (error instanceof AuthError) return reasonRefusal(error.reason, error.violations, error.retryAfterMs);
  return error instanceof ConnectError ? rpcRefusal(error) : null;
}

/** A refusal for a reason of the closed list. */
export function reasonRefusal(reason: Reason, violations: readonly Violation[] = [], retryAfterMs?: number): Refusal {
  const { httpStatus, message } = REASONS[reason];
  const headers = retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
  return { status: httpStatus, code: reason, message, violations, headers };
}

const HTTP_REASONS: Record<HttpReason, readonly [status: number, message: string]> = {
  NOT_FOUND: [404, "Not found"],
  METHOD_NOT_ALLOWED: [405, "Method not allowed"],
  PAYLOAD_TOO_LARGE: [413, "Request body too large"],
  UNSUPPORTED_MEDIA_TYPE: [415, "Unsupported media type"],
};

function plainRefusal({ reason, headers }: HttpError): Refusal {
  const [status, message] = HTTP_REASONS[reason];
  return { status, code: reason, message, violations: [], headers };
}

function rpcRefusal(error: ConnectError): Refusal {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const delayMs = delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6;
  return reasonRefusal(closedReason(error), violationsOf(error), delayMs);
}

function closedReason(error: ConnectError): Reason {
  const reason = reasonOf(error) ?? "";
  return isReason(reason) ? reason : (REASON_OF_CODE[error.code] ?? "INTERNAL");
}

function isReason(text: string): text is Reason {
  return Object.hasOwn(REASONS, text);
}

// For errors that Connect itself makes, which carry no details.
const REASON_OF_CODE: Partial<Record<Code, Reason>> = {
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.Unavailable]: "UNAVAILABLE",
};
