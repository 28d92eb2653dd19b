import { describeError, type Log } from "../../src/log.ts";

/** One line of the log. */
export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A log that hands each line over, errors described as the real one does. */
export function createTestLog(take: (line: Line) => void): Log {
  const at = (level: string) => (fields: object, message: string) => {
    const error = "error" in fields ? { error: describeError(fields.error) } : {};
    take({ level, message, fields: { ...fields, ...error } });
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
