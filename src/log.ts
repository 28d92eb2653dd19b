import pino from "pino";

/** Structured log: fields first, then one fixed sentence. Secrets never go in. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Levels of LOG_LEVEL, from talkative to silent. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Writes one JSON object a line to standard error, not waiting for its reader; standard output belongs to the CLI. */
export function createLog(level: LogLevel): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    pino.destination({ dest: 2, sync: false }),
  );
}

// Without what libraries hang on their errors: that of a failed statement carries its values, hashes of passwords among them.
function describeError(err: unknown): unknown {
  if (!(err instanceof Error)) return err;
  const { type, message, stack, code } = pino.stdSerializers.err(err);
  return { type, message, code, stack };
}
