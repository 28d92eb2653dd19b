import type { TestDatabase } from "./postgres.ts";

/** Templates of the mails that were put into the outbox for an address as it was typed, oldest first. */
export async function mailedTo({ database }: { readonly database: TestDatabase }, email: string): Promise<string[]> {
  const rows = await database.query<{ template: string }>(
    "SELECT template FROM mails WHERE recipient = $1 ORDER BY id",
    email,
  );
  return rows.map(({ template }) => template);
}
