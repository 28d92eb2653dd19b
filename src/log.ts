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

// An error and what it says of its causes; in circles, or in great numbers, they would fill a line without end.
const MAX_ERRORS = 10;
const MAX_TEXT = 10_000;

/**
 * What the log says of an error: nothing of what libraries hang on theirs. That of a failed statement carries its values,
 * hashes of passwords among them.
 */
export function describeError(error: unknown): unknown {
  try {
    return describe(error, new Set());
  } catch {
    // Whoever made it can have it throw when it is looked at.
    return "an error that cannot be read";
  }
}

function describe(error: unknown, told: Set<unknown>): unknown {
  told.add(error);
  if (!(error instanceof Error)) return typeof error === "string" ? plain(error) : typeof error;
  const { name, message, stack } = error;
  const causes: unknown[] = [];
  for (const cause of causesOf(error)) {
    if (!told.has(cause) && told.size < MAX_ERRORS) causes.push(describe(cause, told));
  }
  return {
    ...{ name: plain(name), message: plain(message), code: "code" in error ? plain(error.code) : undefined },
    stack: plain(stack),
    ...(causes.length > 0 && { cause: causes.length === 1 ? causes[0] : causes }),
  };
}

function causesOf(error: Error): unknown[] {
  const original = "original" in error ? error.original : undefined;
  const causes = [error.cause, original, ...(error instanceof AggregateError ? error.errors : [])];
  return causes.filter((each) => each !== undefined);
}

/** Text and numbers as they are, so far as a line has room; anything else may hold whatever it likes. */
function plain(value: unknown): string | number | undefined {
  if (typeof value === "string") return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
  return typeof value === "number" ? value : undefined;
}
