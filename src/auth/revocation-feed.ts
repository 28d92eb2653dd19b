import type { Position } from "../db/revocations.ts";
import type { Revocation } from "../db/sessions.ts";
import { isVisible, readCursor, toCursor } from "./snapshot.ts";

/** What a watcher is told: a revocation, that it is in sync, or that the service lives. */
export interface RevocationEvent {
  /** Where to go on from; empty where that cannot be said yet. */
  readonly cursor: string;
  readonly revocation: Revocation | null;
  readonly inSync: boolean;
}

/** What the process knows: each revocation in force with its transaction, null until it was read from the database. */
export interface RevocationMemory {
  readonly inForce: ReadonlyMap<string, { readonly expiresAt: Date; readonly tx: bigint | null }>;
  position(): Position;
}

/** A watcher reads more slowly than revocations come. */
export class SlowWatcher extends Error {}

const HEARTBEAT_MS = 15_000;
const MAX_BEHIND = 10_000;

/** Hands revocations on to watchers. */
export function createRevocationFeed({ inForce, position }: RevocationMemory) {
  const queues = new Set<EventQueue>();

  async function* watch(cursor: string, signal: AbortSignal): AsyncGenerator<RevocationEvent> {
    const seen = readCursor(cursor, position());
    const begun = toCursor(position());
    const queue = createEventQueue();
    queues.add(queue);
    try {
      // The map may change meanwhile: what it gains is in the queue as well.
      for (const [sessionId, { expiresAt, tx }] of inForce) {
        if (seen && tx !== null && isVisible(tx, seen)) continue;
        yield { cursor: "", revocation: { sessionId, expiresAt }, inSync: false };
      }
      yield { cursor: begun, revocation: null, inSync: true };
      for (;;) yield (await queue.next(HEARTBEAT_MS, signal)) ?? heartbeat(toCursor(position()));
    } finally {
      queues.delete(queue);
    }
  }

  return {
    watch,

    /** Tells every watcher; the last of them with the position, if it is known. */
    publish(revocations: readonly Revocation[], at: Position | null): void {
      const cursor = at ? toCursor(at) : "";
      const events = revocations.map((revocation, index) => ({
        cursor: index === revocations.length - 1 ? cursor : "",
        revocation,
        inSync: false,
      }));
      for (const queue of queues) queue.push(events);
    },

    /** Ends every watch with this error. */
    end(error: Error): void {
      for (const queue of queues) queue.fail(error);
    },
  };
}

function heartbeat(cursor: string): RevocationEvent {
  return { cursor, revocation: null, inSync: false };
}

type EventQueue = ReturnType<typeof createEventQueue>;

/** Events for one watcher, who is cut off when too many wait. */
function createEventQueue() {
  let waiting: RevocationEvent[] = [];
  let failure: Error | null = null;
  let wake = () => {};
  const fail = (error: Error) => {
    failure ??= error;
    waiting = [];
    wake();
  };
  return {
    push(events: readonly RevocationEvent[]): void {
      if (failure) return;
      if (waiting.length + events.length > MAX_BEHIND) fail(new SlowWatcher("reads too slowly"));
      else waiting.push(...events);
      wake();
    },
    fail,

    /** The next event; null when none has come within a time. */
    async next(ms: number, signal: AbortSignal): Promise<RevocationEvent | null> {
      signal.throwIfAborted();
      if (waiting.length === 0 && !failure) await pause(ms, signal, (resume) => (wake = resume));
      signal.throwIfAborted();
      if (failure) throw failure;
      return waiting.shift() ?? null;
    },
  };
}

/** Resolves when it is resumed, after a time, or when the signal is aborted. */
function pause(ms: number, signal: AbortSignal, onResume: (resume: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const resume = () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", resume);
    resolve();
  };
  signal.addEventListener("abort", resume);
  onResume(resume);
  return promise;
}
