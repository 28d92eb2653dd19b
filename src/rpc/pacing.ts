/**
 * Has something of a source taken up at once, or when its turn comes; gives whether it will be, since only so much may
 * wait.
 */
export type Pace = (source: string, takeUp: () => void) => boolean;

const SHARE_MS = 1;
const MOST = 1_000;

/**
 * Builds a pace: what comes in together is taken up little by little, for a millisecond in each turn of the event loop,
 * with all that it causes at once, so that other calls are served in between. Sources take turns; each may have as much
 * waiting as it leaves room for others.
 */
export function createPace(): Pace {
  // In the order of their turns.
  const lines = new Map<string, (() => void)[]>();
  let size = 0;
  let next: NodeJS.Immediate | undefined;
  let endsAt = 0;

  const begin = () => {
    endsAt = performance.now() + SHARE_MS;
    next = setImmediate(() => {
      next = undefined;
      if (size === 0) return;
      begin();
      takeNext();
    });
  };

  const takeNext = () => {
    if (size === 0 || performance.now() >= endsAt) return;
    shift()?.();
    // When all is done that this has caused for now.
    queueMicrotask(() => process.nextTick(takeNext));
  };

  const shift = (): (() => void) | undefined => {
    for (const [source, line] of lines) {
      size -= 1;
      lines.delete(source);
      const first = line.shift();
      if (line.length > 0) lines.set(source, line);
      return first;
    }
    return undefined;
  };

  return (source, takeUp) => {
    if (!next) {
      begin();
      takeUp();
      return true;
    }
    const line = lines.get(source) ?? [];
    if (line.length >= MOST - size) return false;
    line.push(takeUp);
    lines.set(source, line);
    size += 1;
    return true;
  };
}
