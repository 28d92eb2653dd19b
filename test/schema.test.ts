import { expect } from "chai";
import type { Model, ModelAttributeColumnOptions, ModelStatic, Sequelize } from "sequelize";
import { openSequelize } from "../src/db/database.ts";
import { defineModels } from "../src/db/models.ts";
import { LIVE } from "../src/db/sessions.ts";
import { ACTIVE } from "../src/db/users.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";

/** What both sides tell of a column. */
interface Column {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly primaryKey: boolean;
  readonly generated: boolean;
  /** As text; null: there is none. */
  readonly default: string | null;
}

const MIGRATIONS = "schema_migrations";

describe("the models and the migrated schema", () => {
  let database: TestDatabase;
  let sequelize: Sequelize;
  before(async () => {
    database = await createTestDatabase();
    sequelize = openSequelize(database.connection, { poolSize: 2, statementTimeout: 0 });
    defineModels(sequelize);
  });
  after(async () => {
    await sequelize.close();
    await database.drop();
  });

  const models = (): ModelStatic<Model>[] => Object.values(sequelize.models);

  it("have the same tables", async () => {
    const tables = await database.query<{ name: string }>(
      "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace",
    );
    const names = tables.map(({ name }) => name).filter((name) => name !== MIGRATIONS);
    expect(models().map(({ tableName }) => tableName)).to.have.members(names);
    expect(names).to.have.length.above(0);
  });

  it("have the same columns: names, types, nulls, keys and defaults", async () => {
    const inModels = byName(models().flatMap(columnsOf));
    const inDatabase = byName(await readColumns(database));
    for (const name of new Set([...inModels.keys(), ...inDatabase.keys()]))
      expect(inModels.get(name), name).to.deep.equal(inDatabase.get(name));
  });

  it("agree in what a read by each model asks for", async () => {
    for (const model of models()) expect(await model.findAll({ raw: true }), model.tableName).to.deep.equal([]);
  });
});

describe("the procedures that open and refresh a session", () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.drop());

  it("goes by what the stores call a live session and an active account", async () => {
    const procedures = await database.query<{ name: string; source: string }>(
      "SELECT proname AS name, prosrc AS source FROM pg_proc WHERE proname IN ('open_session', 'refresh_session')",
    );
    expect(procedures).to.have.length(2);
    for (const { name, source } of procedures)
      expect(source.replace(/\s+/g, " "), name).to.include(LIVE).and.to.include(ACTIVE);
  });
});

function byName(columns: readonly Column[]): Map<string, Column> {
  return new Map(columns.map((column) => [`${column.table}.${column.column}`, column]));
}

function columnsOf(model: ModelStatic<Model>): Column[] {
  return Object.values(model.getAttributes()).map((attribute) => ({
    table: model.tableName,
    column: attribute.field ?? "",
    type: typeOf(attribute),
    nullable: attribute.allowNull !== false,
    primaryKey: attribute.primaryKey === true,
    generated: attribute.autoIncrement === true,
    default: defaultOf(attribute),
  }));
}

function typeOf({ type }: ModelAttributeColumnOptions): string {
  return (typeof type === "string" ? type : String(type)).toLowerCase();
}

function defaultOf({ defaultValue: value }: ModelAttributeColumnOptions): string | null {
  if (value === undefined) return null;
  if (Array.isArray(value)) return `{${value.join()}}`;
  return typeof value === "object" && value !== null && "val" in value ? String(value.val) : String(value);
}

// A constant default is told without its quotes and its cast, any other as the expression that it is.
function readColumns(database: TestDatabase): Promise<Column[]> {
  return database.query<Column>(
    `SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
       coalesce(a.attnum = ANY (k.conkey), false) AS "primaryKey", a.attidentity <> '' AS generated,
       regexp_replace(pg_get_expr(d.adbin, d.adrelid), '^''(.*)''::[a-z]+(\\[\\])?$', '\\1') AS default
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p'
     WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relname <> $1
       AND a.attnum > 0 AND NOT a.attisdropped`,
    MIGRATIONS,
  );
}
