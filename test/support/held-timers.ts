/** Timers that go off when a test says so. */
export interface HeldTimers {
  advance(ms: number): void;
  release(): void;
}

/** Holds every timer that this process sets from now on; those that are running already go on. */
export function holdTimers(): HeldTimers {
  const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  const held = new Map<object, { at: number; run: () => void }>();
  let time = 0;
  const set = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const start = () => void held.set(timer, { at: time + ms, run: () => callback(...args) });
    const timer = {
      ...{ ref: () => timer, unref: () => timer, hasRef: () => true },
      refresh() {
        if (held.has(timer)) start();
        return timer;
      },
    };
    start();
    return timer;
  };
  const clear = (timer?: object) => {
    if (!timer || !held.delete(timer)) real.clearTimeout(timer as NodeJS.Timeout);
  };
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
  return {
    advance(ms) {
      time += ms;
      for (const [timer, { at, run }] of held) {
        if (at > time || !held.delete(timer)) continue;
        run();
      }
    },
    release: () => void Object.assign(globalThis, real),
  };
}
