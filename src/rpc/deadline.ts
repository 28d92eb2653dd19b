import type { HandlerContext } from "@connectrpc/connect";
import type { Deadline } from "../auth/hashing.ts";
import { UNARY_DEADLINE_MS } from "./limits.ts";

/** The deadline of a call, for work that is refused when it could not end in time. */
export function deadlineOf(context: HandlerContext): Deadline {
  return {
    signal: context.signal,
    remainingMs: () => Math.min(context.timeoutMs() ?? UNARY_DEADLINE_MS, UNARY_DEADLINE_MS),
  };
}
