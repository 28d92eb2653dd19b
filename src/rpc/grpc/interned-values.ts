import type { IncomingHttpHeaders } from "node:http2";

// What most calls say alike; nothing that may hold a secret.
const ALIKE = [
  ...[":path", ":authority", "content-type", "te", "user-agent", "x-forwarded-for"],
  ...["accept-encoding", "grpc-accept-encoding", "grpc-timeout"],
];
// Callers choose the values: what is kept of them must not grow with what they send.
const MOST_VALUES = 1000;
const LONGEST_VALUE = 256;

/**
 * Builds what makes equal values of calls' headers one string.
 *
 * Node makes each value an external string, whose bytes lie outside of the heap, and V8 frees those in the next
 * collection of the whole heap, one by one while everything stands still: 350 ms in each half minute of a flood. It
 * internalizes a string that is looked up as the name of a property: equal ones are one then, and the bytes of the others
 * are freed at once.
 */
export function createInternValues(): (headers: IncomingHttpHeaders) => void {
  let known: Record<string, true> = Object.create(null);
  let size = 0;
  const remember = (value: string) => {
    if (size === MOST_VALUES) [known, size] = [Object.create(null), 0];
    known[value] = true;
    size += 1;
  };
  return (headers) => {
    for (const name of ALIKE) {
      const value = headers[name];
      if (typeof value !== "string" || value.length > LONGEST_VALUE) continue;
      if (!known[value]) remember(value);
    }
  };
}
