import type { Fault } from "../wire/faults.ts";

/** Why the service refused: a sentence, or each faulty value of the request. */
export type Detail = string | readonly Fault[];

/** The service's refusal of a sign-in. */
export class AuthError extends Error {
  readonly detail: Detail;
  /** The reason, a name of ErrorReason; unset when the service told none. */
  readonly code: string | undefined;

  constructor(detail: Detail, code?: string) {
    super(typeof detail === "string" ? detail : "Invalid request");
    this.name = "AuthError";
    this.detail = detail;
    this.code = code;
  }
}

/** A sign-in to which the service gave no answer; `cause` says what happened instead. */
export class BadRequestError extends Error {
  readonly detail: string;

  constructor(detail: string, options?: { readonly cause?: unknown }) {
    super(detail, options);
    this.name = "BadRequestError";
    this.detail = detail;
  }
}
