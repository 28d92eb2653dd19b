/** Says why a process failed: the message alone, unless the failure is a bug or the places in the code are asked for. */
export function describeFailure(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const isBug = BUGS.some((kind) => error instanceof kind);
  return (verbose || isBug ? error.stack : undefined) ?? (error.message || error.name);
}

const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError];
