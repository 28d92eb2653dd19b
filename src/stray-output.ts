import { describeError, type Log } from "./log.ts";

const METHODS = ["debug", "info", "log", "warn", "error", "trace", "dir", "dirxml", "table"] as const;

/**
 * Has the log say what would stand raw on standard error: what libraries write to the console, what Node warns of, and
 * the error that ends the process. Raw, an error tells all that it holds, the values of a statement among it.
 */
export function catchStrayOutput(log: Log): void {
  for (const method of METHODS) {
    console[method] = (...said: unknown[]) =>
      log.warn({ said: said.map((each) => describeError(each)) }, "a library says");
  }
  // Node's own listener is what writes them.
  process.removeAllListeners("warning").on("warning", (error) => log.warn({ error }, "Node warns"));
  process.on("uncaughtException", (error) => {
    log.error({ error }, "an error that nobody caught ends the process");
    process.exit(1);
  });
}
