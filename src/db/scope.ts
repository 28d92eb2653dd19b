import { QueryTypes, type Sequelize, type Transaction } from "sequelize";
import type { Clock } from "../clock.ts";
import { defineModels, type Models } from "./models.ts";

/** Where a store's statements run: each by itself, or all in one transaction. */
export interface Scope {
  readonly models: Models;
  /** Goes into every call of a model. */
  readonly options: { readonly transaction: Transaction | null };
  /** Runs SQL with `$1` … bound and gives its rows, times moved by the clock's offset. */
  query<Row extends object>(sql: string, ...bind: unknown[]): Promise<Row[]>;
  /** Moves the times of a row that a model has read by the clock's offset. */
  read<Row extends object>(row: Row): Row;
  /** Moves a time that goes into the database back by the clock's offset. */
  write(time: Date): Date;
}

/** Makes the scopes of one database. */
export function createScopes(sequelize: Sequelize, clock: Clock): (transaction: Transaction | null) => Scope {
  const models = defineModels(sequelize);
  const move = (time: Date, by: number) => new Date(time.getTime() + by);
  const read = <Row extends object>(row: Row): Row => {
    if (clock.offset === 0) return row;
    const moved = Object.entries(row).map(([key, value]) => [
      key,
      value instanceof Date ? move(value, clock.offset) : value,
    ]);
    return Object.fromEntries(moved) as Row;
  };
  return (transaction) => ({
    models,
    options: { transaction },
    async query<Row extends object>(sql: string, ...bind: unknown[]) {
      const rows = await sequelize.query<Row>(sql, { bind, type: QueryTypes.SELECT, transaction });
      return rows.map(read);
    },
    read,
    write: (time) => move(time, -clock.offset),
  });
}
