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
/** See LOG_LEVELS. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Writes one JSON object a line to standard error, not waiting for its reader; standard output belongs to the CLI. */
export function createLog(level: LogLevel): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // The library's own, for `err`, tells all that an error holds.
      serializers: { error: describeLogged, err: describeLogged },
    },
    createOutput(),
  );
}

/** How long a line may wait for others; `GATHERED` bytes do not. */
const GATHER_MS = 10;
const GATHERED = 4096;

// A write goes through another thread, which takes longer than the line: lines of the same moment share one. Those that
// wait when the process exits are written by pino.
function createOutput(): pino.DestinationStream {
  const output = pino.destination({ dest: 2, sync: false, minLength: GATHERED });
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    timer = undefined;
    output.flush();
  };
  return {
    write(line) {
      output.write(line);
      if (timer === undefined) timer = setTimeout(flush, GATHER_MS).unref();
    },
  };
}

const describeLogged = (error: unknown) => describeError(error);

const MAX_CAUSES = 5;

/**
 * What the log says of an error: nothing of what libraries hang on theirs. That of a failed statement carries its values,
 * hashes of passwords among them.
 */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === "string" ? error : typeof error;
  const { name, message, stack, cause } = error;
  const code = "code" in error ? error.code : undefined;
  const original = "original" in error ? error.original : undefined;
  const inner = new Set(
    [cause, original, ...(error instanceof AggregateError ? error.errors : [])].filter((each) => each !== undefined),
  );
  const causes = depth === MAX_CAUSES ? [] : [...inner].map((error) => describeError(error, depth + 1));
  return { name, message, code, stack, ...(causes.length > 0 && { cause: causes.length === 1 ? causes[0] : causes }) };
}
