/** The process's time: the real one plus an offset in milliseconds, which is 0 outside tests. */
export interface Clock {
  offset: number;
}

/** The real clock. */
export function createClock(): Clock {
  return { offset: 0 };
}

/** Milliseconds since 1970 by this clock. */
export function now(clock: Clock): number {
  return Date.now() + clock.offset;
}
