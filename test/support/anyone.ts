import type { CallContext } from "../../src/auth/call-context.ts";

/** A call of anybody, from nowhere, that may take for ever. */
export const ANYONE: CallContext = {
  signal: new AbortController().signal,
  remainingMs: () => Number.POSITIVE_INFINITY,
  ...{ address: "", addressIsPersons: false, actor: "anyone", concerns: () => {} },
};
