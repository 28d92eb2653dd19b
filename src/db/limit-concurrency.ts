import pLimit from "p-limit";
import { ConnectionAcquireTimeoutError } from "sequelize";
import { ACQUIRE_TIMEOUT, type Database } from "./database.ts";

/**
 * The same database, asked for so many single statements at once: the others wait without a connection, in the order in
 * which they came and for no longer than for a connection. Transactions pass them by. A statement that asks for another
 * here could wait for itself.
 */
export function limitConcurrency(db: Database, statements: number): Database {
  const inTurn = pLimit(statements);
  return {
    ...db,
    statement<T>(run: Parameters<typeof db.statement<T>>[0]) {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        reject(new ConnectionAcquireTimeoutError(new Error("No turn with the database")));
      }, ACQUIRE_TIMEOUT);
      inTurn(async () => {
        clearTimeout(timer);
        if (!isLate) resolve(await db.statement(run));
      }).catch(reject);
      return promise;
    },
    connections() {
      const { waiting, ...others } = db.connections();
      return { ...others, waiting: waiting + inTurn.pendingCount };
    },
  };
}
