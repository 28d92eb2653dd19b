/** Runs what it is given one after the other; what nobody waits for any more when its turn comes is left out. */
export type InTurn = <T>(signal: AbortSignal, run: () => Promise<T>) => Promise<T>;

/** Builds a queue of one place. */
export function createTurns(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(signal: AbortSignal, run: () => Promise<T>) => {
    const turn = last.then(() => {
      signal.throwIfAborted();
      return run();
    });
    last = turn.catch(() => {});
    return turn;
  };
}
