import { AuthError, type FieldReason, type FieldViolation } from "./errors.ts";

/** A value that a field cannot have; says why without repeating the value. */
export class FieldFault extends Error {
  readonly reason: FieldReason;

  constructor(reason: FieldReason, description: string) {
    super(description);
    this.reason = reason;
  }
}

/** Reads every field, and throws one INVALID_ARGUMENT that names all the faulty ones. Keys are the names in the .proto. */
export function requireFields<T extends object>(readers: { readonly [K in keyof T]: () => T[K] }): T {
  const violations: FieldViolation[] = [];
  const entries = Object.entries<() => unknown>(readers as Record<string, () => unknown>).map(([field, read]) => {
    try {
      return [field, read()];
    } catch (error) {
      if (!(error instanceof FieldFault)) throw error;
      violations.push({ field, reason: error.reason, description: error.message });
      return [field, undefined];
    }
  });
  if (violations.length > 0) throw new AuthError("INVALID_ARGUMENT", { violations });
  return Object.fromEntries(entries) as T;
}

/** Refuses text that is empty, too long, or holds what no transport should have let through. */
export function parseText(text: string, limit: { readonly codePoints?: number; readonly bytes?: number }): string {
  if (text === "") throw new FieldFault("REQUIRED", "must be given");
  return parseOptionalText(text, limit);
}

/** The same for text that may be empty. */
export function parseOptionalText(
  text: string,
  { codePoints, bytes }: { readonly codePoints?: number; readonly bytes?: number },
): string {
  if (codePoints !== undefined && countCodePoints(text) > codePoints)
    throw new FieldFault("TOO_LONG", `must be at most ${codePoints} characters`);
  if (bytes !== undefined && Buffer.byteLength(text) > bytes)
    throw new FieldFault("TOO_LONG", `must be at most ${bytes} bytes`);
  if (!text.isWellFormed() || /[\0\uFFFD]/.test(text))
    throw new FieldFault("MALFORMED", "must be well-formed text without NUL");
  return text;
}

/** Length as people count it, rather than in UTF-16 units. */
export function countCodePoints(text: string): number {
  return [...text].length;
}
