import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

/** What a call made in process knows of its caller. */
export interface InvokeContext {
  readonly header: Headers;
  readonly peerAddress: string;
  readonly signal: AbortSignal;
}

/** Calls one unary RPC in process, through the same interceptors as the listeners. Throws ConnectError. */
export type Invoke = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  context: InvokeContext,
) => Promise<MessageShape<O>>;
