import type { Clock } from "../../src/clock.ts";
import type { TestDatabase } from "./postgres.ts";

/** Lets time pass: the process's clock goes forward, and everything in the database gets older by as much. */
export async function passTime(
  { clock, database }: { readonly clock: Clock; readonly database: TestDatabase },
  ms: number,
): Promise<void> {
  const tables = await database.query<{ table: string; changes: string }>(
    `SELECT format('%I.%I', c.table_schema, c.table_name) AS table, string_agg(format(CASE c.udt_name
       WHEN '_timestamptz' THEN '%1$I = ARRAY(SELECT old - %2$L::interval FROM unnest(%1$I) old)'
       ELSE '%1$I = %1$I - %2$L::interval' END, c.column_name, '${ms} ms'), ', ') AS changes
     FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.udt_name IN ('timestamptz', '_timestamptz') AND t.table_type = 'BASE TABLE' AND c.table_schema IN ('public', 'graphile_worker')
     GROUP BY 1`,
  );
  const updates = tables.map(({ table, changes }) => `UPDATE ${table} SET ${changes}`);
  await database.query(updates.join(";\n"));
  clock.offset += ms;
}

/** Puts this machine's clock forward by as much, for the process that asks; call what it gives to take that back. */
export function moveMachineClock(ms: number): () => void {
  const real = Date.now;
  Date.now = () => real() + ms;
  return () => {
    Date.now = real;
  };
}

/** Lets the process believe that its monotonic clock has gone on by as much; call what it gives to take that back. */
export function skipMonotonic(ms: number): () => void {
  const real = performance.now;
  performance.now = () => real.call(performance) + ms;
  return () => {
    performance.now = real;
  };
}
