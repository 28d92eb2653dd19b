import { type Clock, now } from "../clock.ts";
import type { Log } from "../log.ts";

/** From how many milliseconds on it is worth a warning that two clocks differ. */
export const FAR_MS = 2_000;
const NEAR_MS = 1_000;

/** Gives what it is given, and learns from it what time it is there. */
export type AskTime = <T extends { readonly readAt: Date }>(read: () => Promise<T>) => Promise<T>;

/**
 * Keeps the clock in step with the database's, by which tokens are dated, with every answer that bears its time; the log
 * tells when this machine's is far off, and when it no longer is.
 */
export function followDatabaseClock(clock: Clock, log: Log): AskTime {
  let isFar = false;
  const tell = () => {
    const off = Math.abs(clock.behind);
    if (isFar ? off > NEAR_MS : off <= FAR_MS) return;
    isFar = !isFar;
    const found = { behindMs: Math.round(clock.behind) };
    if (isFar) log.warn(found, "this machine's clock is wrong, or the database's: the service goes by the database's");
    else log.info(found, "this machine's clock and the database's agree again");
  };
  return async (read) => {
    const begunAt = now(clock);
    const answer = await read();
    const time = answer.readAt.getTime();
    // It was read between the two: the clock moves no further than that proves, and not at all for a slow answer.
    const [least, most] = [time - now(clock), time - begunAt];
    clock.behind += Math.min(Math.max(0, least), most);
    tell();
    return answer;
  };
}
