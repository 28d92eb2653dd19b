/** The time that the rules go by: the database's, as far as this process knows it. */
export interface Clock {
  /** Milliseconds that tests let pass; 0 outside them. */
  offset: number;
  /** By how many milliseconds this machine's clock is behind the database's, as far as that is known. */
  behind: number;
}

/** A clock that is this machine's until the database was asked. */
export function createClock(): Clock {
  return { offset: 0, behind: 0 };
}

/** Milliseconds since 1970 by this clock. */
export function now(clock: Clock): number {
  return Date.now() + clock.offset + clock.behind;
}
