import { type ContextValues, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { AddressRange } from "../address-range.ts";
import type { CallContext, Subject } from "../auth/call-context.ts";
import { callersOf } from "./caller.ts";
import { UNARY_DEADLINE_MS } from "./limits.ts";
import { createFindOrigin, type Origin } from "./origin.ts";
import { peerAddress } from "./peer.ts";

/** Gives what the rules need to know of a call. */
export type CallContextOf = (context: HandlerContext) => CallContext;

/** What is known of who makes a call, and from where. */
export interface Source extends Origin {
  readonly actor: string;
}

/** Finds out who makes a call, and from where. */
export type FindSource = (call: { readonly values: ContextValues; readonly header: Headers }) => Source;

/** What the rules have told of a call, for the audit log. */
export const subjectKey = createContextKey<Subject>({}, { description: "subject" });

/** Builds the reader of calls; `isTrustedProxy` says whose `x-forwarded-for` is believed beside a gateway's. */
export function createFindSource(isTrustedProxy: AddressRange): FindSource {
  const findOrigin = createFindOrigin(isTrustedProxy);
  return ({ values, header }) => {
    const { person, service, operator } = callersOf(values);
    const origin = findOrigin({
      peer: values.get(peerAddress),
      forwardedFor: header.get("x-forwarded-for"),
      fromGateway: service?.scopes.includes("gateway") ?? false,
    });
    const actor = operator ? "cli" : person ? `user:${person.userId}` : service ? `key:${service.id}` : "anyone";
    return { ...origin, actor };
  };
}

/** Builds what handlers call the rules with. */
export function createCallContexts(findSource: FindSource): CallContextOf {
  return ({ values, requestHeader: header, signal, timeoutMs }) => ({
    ...findSource({ values, header }),
    signal,
    remainingMs: () => Math.min(timeoutMs() ?? UNARY_DEADLINE_MS, UNARY_DEADLINE_MS),
    concerns: (subject) => void values.set(subjectKey, { ...values.get(subjectKey), ...subject }),
  });
}
