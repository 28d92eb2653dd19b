import type { Clock } from "../../src/clock.ts";
import type { TestDatabase } from "./postgres.ts";

/** Lets time pass: the process's clock goes forward, and everything in the database gets older by as much. */
export async function passTime(
  { clock, database }: { readonly clock: Clock; readonly database: TestDatabase },
  ms: number,
): Promise<void> {
  const columns = await database.query<{ table: string; columns: string[] }>(
    `SELECT format('%I.%I', c.table_schema, c.table_name) AS table, array_agg(quote_ident(c.column_name)) AS columns
     FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.data_type = 'timestamp with time zone' AND t.table_type = 'BASE TABLE' AND c.table_schema IN ('public', 'graphile_worker')
     GROUP BY 1`,
  );
  const updates = columns.map(
    ({ table, columns }) =>
      `UPDATE ${table} SET ${columns.map((column) => `${column} = ${column} - interval '${ms} ms'`).join(", ")}`,
  );
  await database.query(updates.join(";\n"));
  clock.offset += ms;
}

/** Lets the process believe that its monotonic clock has gone on by as much; call what it gives to take that back. */
export function skipMonotonic(ms: number): () => void {
  const real = performance.now;
  performance.now = () => real.call(performance) + ms;
  return () => {
    performance.now = real;
  };
}
