import type { Violation } from "./error-details.ts";

/** One faulty value of a request: where it stood, what is wrong with it, and that as a word for programs. */
export interface Fault {
  readonly loc: readonly string[];
  readonly msg: string;
  readonly type: string;
}

/** The `detail` of INVALID_ARGUMENT: each faulty field by the place it was read from, or else the body as a whole. */
export function faultList(
  violations: readonly Violation[],
  message: string,
  locate: (field: string) => readonly string[],
): Fault[] {
  if (violations.length === 0) return [{ loc: ["body"], msg: message, type: "malformed" }];
  return violations.map(({ field, description, reason }) => ({
    loc: locate(field),
    msg: description,
    type: reason.toLowerCase(),
  }));
}

/** Whether a value can be sent as a text field. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value.isWellFormed();
}

/** What is said of a field whose value is no text. */
export function notText(field: string) {
  return { field, reason: "MALFORMED", description: "must be text" } as const;
}
