/** The token in an `authorization` header (RFC 6750 section 2.1); null without one. */
export function bearerOf(authorization: unknown): string | null {
  return typeof authorization === "string" ? (/^bearer +([^ ]+) *$/i.exec(authorization)?.[1] ?? null) : null;
}
