/** Takes something up at once, or when its turn comes after all that came before. */
export type Pace = (takeUp: TakeUp) => void;

/** Begins some work; gives whether there is more to come of it, once others had their turn. */
export type TakeUp = () => boolean;

const SHARE_MS = 0.3;

/**
 * Builds a pace: in each turn of the event loop one piece of work is taken up of which more is to come, or as many others
 * as fit into 0.3 ms. Of a crowd that comes in together, what it causes is spread, and other calls are served in between.
 */
export function createPace(): Pace {
  const waiting: TakeUp[] = [];
  let next: NodeJS.Immediate | undefined;
  let endsAt = 0;

  const begin = () => {
    endsAt = performance.now() + SHARE_MS;
    next = setImmediate(() => {
      next = undefined;
      if (waiting.length === 0) return;
      begin();
      do take(waiting.shift());
      while (waiting.length > 0 && performance.now() < endsAt);
    });
  };

  const take = (takeUp: TakeUp | undefined) => {
    if (takeUp?.()) endsAt = 0;
  };

  return (takeUp) => {
    if (!next) begin();
    if (waiting.length === 0 && performance.now() < endsAt) take(takeUp);
    else waiting.push(takeUp);
  };
}
