import {
  type CreationOptional,
  DataTypes,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  type ModelAttributes,
} from "sequelize";

/** Row of `audit_events`. */
export class AuditEventRow extends Model<InferAttributes<AuditEventRow>, InferCreationAttributes<AuditEventRow>> {
  declare id: CreationOptional<string>;
  declare tx: CreationOptional<string>;
  declare createdAt: CreationOptional<Date>;
  declare type: string;
  declare reason: CreationOptional<string | null>;
  declare userId: CreationOptional<string | null>;
  declare actor: string;
  declare sessionId: CreationOptional<string | null>;
  declare address: CreationOptional<string | null>;
  declare deviceName: CreationOptional<string | null>;
  declare detail: CreationOptional<string | null>;
  declare count: CreationOptional<number>;
}

const { BIGINT, DATE, INET, INTEGER, TEXT, UUID } = DataTypes;

/** The columns of `audit_events`. */
export const AUDIT_EVENT_ATTRIBUTES: ModelAttributes<AuditEventRow> = {
  id: { type: BIGINT, primaryKey: true, autoIncrement: true, allowNull: false },
  tx: { type: "xid8", allowNull: false, defaultValue: literal("pg_current_xact_id()") },
  createdAt: { type: DATE, allowNull: false, defaultValue: literal("now()") },
  type: { type: TEXT, allowNull: false },
  reason: TEXT,
  userId: BIGINT,
  actor: { type: TEXT, allowNull: false },
  sessionId: UUID,
  address: INET,
  deviceName: TEXT,
  detail: TEXT,
  count: { type: INTEGER, allowNull: false, defaultValue: 1 },
};
