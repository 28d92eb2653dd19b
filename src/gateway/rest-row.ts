import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { AuthError, type Reason } from "../auth/errors.ts";
import type { Invoke } from "../rpc/invoke.ts";
import { jsonAnswer, refusalAnswer, seeOther } from "./answers.ts";
import { createInput, type Input } from "./input.ts";
import type { Answer, Call, Route } from "./route.ts";

/** One REST route: which RPC it calls, how the request is read and how the answer is written. */
export interface RestRow<I extends DescMessage, O extends DescMessage> {
  readonly method: Route["method"];
  readonly path: string;
  readonly rpc: DescMethodUnary<I, O>;
  readonly read: (input: Input) => MessageInitShape<I>;
  /** The body of the answer; may throw AuthError. */
  readonly write: (answer: MessageShape<O>) => object;
  /** Status of success; 200 unless given. */
  readonly status?: number;
  /** Statuses of failure that differ from the usual ones on this route. */
  readonly statuses?: Partial<Record<Reason, number>>;
  /** A GET that changes something: HEAD is answered without the call. */
  readonly changes?: true;
  /** Path of the page to which a browser is sent instead. */
  readonly page?: (input: Input) => string;
}

/** A row that only lacks the way to its RPC, and the path under which browsers see the service. */
export type RestRoute = (invoke: Invoke, basePath: string) => Route;

/** Makes a route of a row. */
export function rest<I extends DescMessage, O extends DescMessage>(row: RestRow<I, O>): RestRoute {
  return (invoke, basePath) => ({
    method: row.method,
    path: row.path,
    async handle(call) {
      const input = createInput(call);
      if (row.page && /text\/html/i.test(call.accept)) return seeOther(basePath + row.page(input));
      if (row.changes && call.head) return jsonAnswer(row.status ?? 200, {});
      try {
        return await answer(row, invoke, call, input);
      } catch (error) {
        return refusalAnswer(call.refuse(error), input.locate, row.statuses);
      }
    },
  });
}

async function answer<I extends DescMessage, O extends DescMessage>(
  row: RestRow<I, O>,
  invoke: Invoke,
  call: Call,
  input: Input,
): Promise<Answer> {
  const { request, ...fault } = readRequest(row, input);
  const message = await invoke(row.rpc, request, { ...call.context, ...fault });
  return jsonAnswer(row.status ?? 200, row.write(message));
}

/** What to call the RPC with, or why that cannot be known: the call is made all the same, and refused where all are. */
function readRequest<I extends DescMessage, O extends DescMessage>(
  row: RestRow<I, O>,
  input: Input,
): { request: MessageInitShape<I> | undefined; fault?: AuthError } {
  try {
    const request = row.read(input);
    input.check();
    return { request };
  } catch (error) {
    if (error instanceof AuthError) return { request: undefined, fault: error };
    throw error;
  }
}
