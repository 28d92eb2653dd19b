/** How long a call may still take, and when it is over. */
export interface Deadline {
  readonly signal: AbortSignal;
  remainingMs(): number;
}

/** What the rules know of a call beside what it asks for: how long it may take, who makes it, and from where. */
export interface CallContext extends Deadline {
  /** IP address of whoever the call is for, as far as it is known; "" when it is not. */
  readonly address: string;
  /** Whether that address is known to be the person's rather than a service's, so that limits by address may count it. */
  readonly addressIsPersons: boolean;
  /** `user:<id>`, `key:<service key id>`, `cli` for the operator of the machine, or `anyone`. */
  readonly actor: string;
  /** Tells more about the call for the audit log, should it be refused. Its caller learns nothing of this. */
  concerns(subject: Subject): void;
}

/** What a queue is given to run in place of `run`: it throws when the caller has left before its turn. */
export function unlessLeft<A, T>({ signal }: Deadline, run: (argument: A) => Promise<T>): (argument: A) => Promise<T> {
  return (argument) => {
    signal.throwIfAborted();
    return run(argument);
  };
}

/** What a call turns out to be about. */
export interface Subject {
  readonly userId?: number;
  readonly sessionId?: string;
  readonly deviceName?: string;
}

/** The context of what the process does by itself, for which it takes so many milliseconds at most. */
export function ownContext(ms: number): CallContext {
  const end = performance.now() + ms;
  return {
    signal: AbortSignal.timeout(ms),
    remainingMs: () => end - performance.now(),
    ...{ address: "", addressIsPersons: false, actor: "cli", concerns: () => {} },
  };
}
