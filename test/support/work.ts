import { hashesOf } from "./hashes.ts";
import type { TestService } from "./service.ts";
import { statementsOf } from "./statements.ts";

/** What a call costs, as far as whoever waits for it could notice. */
export interface Work {
  /** The cost factor of each bcrypt operation. */
  readonly hashes: readonly number[];
  /** Each statement, in order, without what stands in it by value. */
  readonly statements: readonly string[];
  /** Rows that were added to each table, the queue's too. */
  readonly rows: Readonly<Record<string, number>>;
}

/** The work of one call, while no other is under way. */
export async function workOf(service: TestService, call: () => Promise<unknown>): Promise<Work> {
  const before = await countRows(service);
  let statements: string[] = [];
  const hashes = await hashesOf(async () => {
    statements = await statementsOf(call);
  });
  const after = await countRows(service);
  return {
    hashes: hashes.map(({ task }) => ("cost" in task ? task.cost : Number(task.hash.slice(4, 6)))),
    statements: statements.map((text) => text.replaceAll(/'[^']*'/g, "?")),
    rows: Object.fromEntries(Object.entries(after).map(([table, count]) => [table, count - (before[table] ?? 0)])),
  };
}

/** By sequences where rows go again: the queue's jobs are done in no time. */
async function countRows({ database }: TestService): Promise<Record<string, number>> {
  const [row] = await database.query<Record<string, number>>(
    `SELECT (SELECT count(*)::int FROM users) AS users, (SELECT count(*)::int FROM secret_tokens) AS tokens,
       (SELECT count(*)::int FROM mails) AS mails, (SELECT count(*)::int FROM sessions) AS sessions,
       coalesce(pg_sequence_last_value(pg_get_serial_sequence('graphile_worker._private_jobs', 'id')), 0)::int AS jobs`,
  );
  return row ?? {};
}
