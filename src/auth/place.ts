import type { CallContext } from "./call-context.ts";

/** One operation: what comes of it, and how many milliseconds it took. */
export type Operation<T> = () => Promise<{ readonly value: T; readonly ms: number }>;

/** The place of one call among those that were admitted: from its arrival until it is given back. */
export interface Place extends Disposable {
  /**
   * Does one operation when the place's turn has come. One after another is never refused for want of room, but the
   * first is, when the place had to give way.
   */
  run<T>(operation: Operation<T>): Promise<T>;
}

/** What a call waits for when it has asked for an operation. */
export interface Waiting {
  /** When it asked, in the admission's time. */
  readonly since: number;
  /** Does the operation, tells the call what came of it, and gives how many milliseconds it took. */
  readonly work: () => Promise<number>;
  readonly reject: (reason: unknown) => void;
}

/** A place as the line that it stands in knows it. */
export interface Standing {
  readonly source: string;
  readonly context: CallContext;
  /** Operations that it is still expected to ask for. */
  operations: number;
  /** Null while it does something else, such as reading from the database, or is at work. */
  waiting: Waiting | null;
  /** Whether an operation of it has begun: it is seen through then. */
  isBegun: boolean;
  /** Why it had to leave. */
  left: { readonly reason: unknown } | null;
}
