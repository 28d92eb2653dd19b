import pLimit from "p-limit";
import { ConnectionAcquireTimeoutError } from "sequelize";
import { ACQUIRE_TIMEOUT, type Database } from "./database.ts";

/**
 * The same database, asked for so many single statements at once: the others wait without a connection, in the order in
 * which they came, and no longer than they would for one. Transactions pass them by. A statement that asks for another
 * here could wait for itself.
 */
export function fewAtOnce(db: Database, statements: number): Database {
  const inTurn = pLimit(statements);
  return {
    ...db,
    statement: (run) =>
      new Promise((resolve, reject) => {
        let isLate = false;
        const refuse = () => {
          isLate = true;
          reject(new ConnectionAcquireTimeoutError(new Error("no turn in time")));
        };
        const timer = setTimeout(refuse, ACQUIRE_TIMEOUT);
        inTurn(async () => {
          clearTimeout(timer);
          if (!isLate) resolve(await db.statement(run));
        }).catch(reject);
      }),
  };
}
