import type { HandlerContext } from "@connectrpc/connect";
import type { AddressRange } from "../address-range.ts";
import type { CallContext } from "../auth/call-context.ts";
import { callersOf } from "./caller.ts";
import { UNARY_DEADLINE_MS } from "./limits.ts";
import { createFindOrigin } from "./origin.ts";
import { peerAddress } from "./peer.ts";

/** Gives what the rules need to know of a call. */
export type CallContextOf = (context: HandlerContext) => CallContext;

/** Builds the reader of calls; `isTrustedProxy` says whose `x-forwarded-for` is believed beside a gateway's. */
export function createCallContexts(isTrustedProxy: AddressRange): CallContextOf {
  const findOrigin = createFindOrigin(isTrustedProxy);
  return (context) => {
    const { person, service, operator } = callersOf(context);
    const origin = findOrigin({
      peer: context.values.get(peerAddress),
      forwardedFor: context.requestHeader.get("x-forwarded-for"),
      fromGateway: service?.scopes.includes("gateway") ?? false,
    });
    return {
      ...origin,
      actor: operator ? "cli" : person ? `user:${person.userId}` : service ? `key:${service.id}` : "anyone",
      signal: context.signal,
      remainingMs: () => Math.min(context.timeoutMs() ?? UNARY_DEADLINE_MS, UNARY_DEADLINE_MS),
    };
  };
}
