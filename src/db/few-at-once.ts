import pLimit from "p-limit";
import type { Database } from "./database.ts";

/**
 * The same database, asked for so many single statements at once: the others wait without a connection, in the order in
 * which they came. Transactions pass them by. A statement that asks for another here could wait for itself.
 */
export function fewAtOnce(db: Database, statements: number): Database {
  const inTurn = pLimit(statements);
  return { ...db, statement: (run) => inTurn(() => db.statement(run)) };
}
