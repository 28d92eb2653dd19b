import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** `domain` of every ErrorInfo that this service makes. */
export const ERROR_DOMAIN = "latchkey";

/** One faulty field, by its name in the .proto. */
export interface Violation {
  readonly field: string;
  readonly reason: string;
  readonly description: string;
}

/** The reason that an error of this service carries, a name of ErrorReason; undefined for any other error. */
export function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  return error.findDetails(ErrorInfoSchema).find((info) => info.domain === ERROR_DOMAIN)?.reason;
}

/** The faulty fields that an error names. */
export function violationsOf(error: ConnectError): Violation[] {
  return error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
}
