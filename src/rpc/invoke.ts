import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, createServiceImplSpec } from "@connectrpc/connect";
import type { AuthError } from "../auth/errors.ts";
import { type Call, runUnary, type UnarySpec } from "./call.ts";
import { refused } from "./errors.ts";
import { UNARY_DEADLINE_MS } from "./limits.ts";
import { peerAddress, protocol, routePattern } from "./peer.ts";
import type { Routes } from "./routes.ts";
import { rpcName } from "./rpc-name.ts";

/** What a call made in process knows of its caller. */
export interface InvokeContext {
  readonly header: Headers;
  readonly peerAddress: string;
  readonly signal: AbortSignal;
  /** Pattern of the HTTP route that the call came in by, for the access log; unset for other callers. */
  readonly routePattern?: string;
  /** Why there is nothing to call the RPC with; such a call is refused for it. */
  readonly fault?: AuthError;
}

/** Calls one unary RPC in process, through the same interceptors as the listeners. Throws ConnectError. */
export type Invoke = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I> | undefined,
  context: InvokeContext,
) => Promise<MessageShape<O>>;

/** Builds the way to call routes in process. */
export function createInvoke(routes: Routes): Invoke {
  const specs = unarySpecs(routes);
  return async <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I> | undefined,
    context: InvokeContext,
  ) => {
    const spec = specs.get(method);
    if (!spec) throw new ConnectError(`${rpcName(method)} is not served`, Code.Unimplemented);
    const message = create(method.input, request);
    const response = await runUnary(routes.interceptors, spec, message, inProcessCall(method, context));
    return response.message as MessageShape<O>;
  };
}

function unarySpecs(routes: Routes): Map<DescMethod, UnarySpec> {
  const specs = routes.services.flatMap(({ desc, impl }) => Object.values(createServiceImplSpec(desc, impl).methods));
  return new Map(specs.filter((spec) => spec.kind === "unary").map((spec) => [spec.method, spec]));
}

function inProcessCall(method: DescMethod, context: InvokeContext): Call {
  const started = performance.now();
  const contextValues = createContextValues().set(peerAddress, context.peerAddress).set(refused, context.fault);
  if (context.routePattern) contextValues.set(protocol, "http").set(routePattern, context.routePattern);
  return {
    protocolName: contextValues.get(protocol),
    url: `http://in-process/${rpcName(method)}`,
    header: context.header,
    signal: context.signal,
    contextValues,
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    timeoutMs: () => started + UNARY_DEADLINE_MS - performance.now(),
  };
}
