import { FieldFault } from "./fields.ts";

const FAR_FUTURE = Date.UTC(9999, 0);

/** Reads a time that something happened at, or is to happen; null when none is given. */
export function parseTime(time: Date | null): Date | null {
  if (time !== null && !(time.getTime() >= 0 && time.getTime() < FAR_FUTURE))
    throw new FieldFault("OUT_OF_RANGE", "must be a time from 1970 to 9998");
  return time;
}

/** Reads a time to come; null when none is given. `now` is in milliseconds since 1970. */
export function parseFutureTime(time: Date | undefined, now: number): Date | null {
  if (time === undefined) return null;
  if (!(time.getTime() > now && time.getTime() < FAR_FUTURE))
    throw new FieldFault("OUT_OF_RANGE", "must be in the future");
  return time;
}
