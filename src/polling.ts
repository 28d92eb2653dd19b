/** Something that is done again and again. */
export interface Polling {
  /** Resolves when the turn under way has ended; there is no other then. */
  close(): Promise<void>;
}

/** Runs a turn, which must not throw, each time `pauseMs` after the one before has ended. */
export function startPolling(pauseMs: number, turn: () => Promise<void>): Polling {
  let closed = false;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const schedule = () => {
    timer = setTimeout(() => {
      running = turn().then(() => void (closed || schedule()));
    }, pauseMs);
  };
  schedule();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      await running;
    },
  };
}
