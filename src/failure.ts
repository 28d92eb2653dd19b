/** What an error says. Of a host with several addresses each was tried, and only the single failures have words. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = "original" in error ? error.original : error;
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(messageOf).join("; ");
  return error.message || error.name;
}

/** Says why a process failed: the message alone, unless the failure is a bug or the places in the code are asked for. */
export function describeFailure(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const isBug = BUGS.some((kind) => error instanceof kind);
  return (verbose || isBug ? error.stack : undefined) ?? messageOf(error);
}

const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError];
