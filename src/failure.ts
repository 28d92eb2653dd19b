/** What made a process fail, in a line and one for each cause; with the places in the code if it is asked for. */
export function describeFailure(error: unknown, verbose: boolean): string {
