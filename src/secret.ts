import { inspect } from "node:util";

const REDACTED = "[redacted]";

/** A value that shows itself only to who asks for it by `reveal()`: printed, logged or put into JSON it reads `[redacted]`. */
export interface Secret {
  reveal(): string;
}

/** Wraps a value that must never be printed. */
export function createSecret(value: string): Secret {
  return Object.freeze({
    reveal: () => value,
    toString: () => REDACTED,
    toJSON: () => REDACTED,
    [inspect.custom]: () => REDACTED,
  });
}
