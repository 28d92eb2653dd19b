import type { CallContext } from "./call-context.ts";
import type { HashResult, HashTask } from "./hash-worker.ts";

/** The place of one call among those whose passwords are hashed: from its arrival until it is given back. */
export interface HashPlace extends Disposable {
  /**
   * Does one operation when the place's turn has come. One after another is never refused for want of room, but the
   * first is, when the place had to give way.
   */
  run(task: HashTask): Promise<HashResult["value"]>;
}

/** What a call waits for when it has asked for an operation. */
export interface Waiting {
  readonly task: HashTask;
  /** When it asked, in the time of `performance.now()`. */
  readonly since: number;
  readonly resolve: (value: HashResult["value"]) => void;
  readonly reject: (reason: unknown) => void;
}

/** A place as the line that it stands in knows it. */
export interface Standing {
  readonly source: string;
  readonly context: CallContext;
  /** Operations that it is still expected to ask for. */
  operations: number;
  /** Null while it does something else, such as reading from the database, or is at work in a thread. */
  waiting: Waiting | null;
  /** Whether a thread has worked for it: it is seen through then. */
  isBegun: boolean;
  /** Why it had to leave. */
  left: { readonly reason: unknown } | null;
}
