import {
  type CreationOptional,
  DataTypes,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  type ModelAttributes,
  type ModelStatic,
  type Sequelize,
} from "sequelize";
import { AUDIT_EVENT_ATTRIBUTES, AuditEventRow } from "./audit-event-row.ts";

/** Row of `users`. Ids come as text from the driver; the stores make numbers of them. */
export class UserRow extends Model<InferAttributes<UserRow>, InferCreationAttributes<UserRow>> {
  declare id: CreationOptional<string>;
  declare username: string;
  declare usernameKey: string;
  declare email: string;
  declare emailKey: string;
  declare emailConfirmedAt: CreationOptional<Date | null>;
  declare passwordHash: CreationOptional<string | null>;
  declare passwordContested: CreationOptional<boolean>;
  declare isActive: CreationOptional<boolean>;
  declare blockedUntil: CreationOptional<Date | null>;
  declare blockReason: CreationOptional<string | null>;
  declare roles: CreationOptional<string[]>;
  declare locale: CreationOptional<string>;
  declare createdAt: CreationOptional<Date>;
  declare lastSignInAt: CreationOptional<Date | null>;
  /** Generated. */
  declare unclaimed: CreationOptional<boolean>;
}

/** Row of `sessions`. */
export class SessionRow extends Model<InferAttributes<SessionRow>, InferCreationAttributes<SessionRow>> {
  declare id: CreationOptional<string>;
  declare userId: string;
  declare rotates: boolean;
  declare refreshCounter: CreationOptional<string>;
  declare refreshedAt: CreationOptional<Date>;
  declare idleExpiresAt: Date;
  declare expiresAt: Date;
  declare accessExpiresAt: Date;
  declare endedAt: CreationOptional<Date | null>;
  declare endReason: CreationOptional<string | null>;
  declare deviceName: CreationOptional<string>;
  declare address: CreationOptional<string | null>;
  declare createdAt: CreationOptional<Date>;
}

/** Row of `secret_tokens`. */
export class SecretTokenRow extends Model<InferAttributes<SecretTokenRow>, InferCreationAttributes<SecretTokenRow>> {
  declare id: CreationOptional<string>;
  declare userId: CreationOptional<string | null>;
  declare purpose: string;
  declare email: string;
  declare createdAt: CreationOptional<Date>;
  declare expiresAt: Date;
  declare codeExpiresAt: CreationOptional<Date | null>;
  declare codeTries: CreationOptional<number>;
  declare usedAt: CreationOptional<Date | null>;
  declare supersededAt: CreationOptional<Date | null>;
}

/** Row of `revocations`. */
export class RevocationRow extends Model<InferAttributes<RevocationRow>, InferCreationAttributes<RevocationRow>> {
  declare sessionId: string;
  declare tx: CreationOptional<string>;
  declare expiresAt: Date;
}

/** Row of `keys`. */
export class KeyRow extends Model<InferAttributes<KeyRow>, InferCreationAttributes<KeyRow>> {
  declare id: string;
  declare purpose: string;
  declare alg: CreationOptional<string | null>;
  declare publicJwk: CreationOptional<object | null>;
  declare wrapped: Buffer;
  declare activeFrom: CreationOptional<Date>;
  declare retireAt: CreationOptional<Date | null>;
  declare createdAt: CreationOptional<Date>;
}

/** Row of `service_keys`. */
export class ServiceKeyRow extends Model<InferAttributes<ServiceKeyRow>, InferCreationAttributes<ServiceKeyRow>> {
  declare id: string;
  declare name: string;
  declare secretHash: Buffer;
  declare scopes: string[];
  declare createdAt: CreationOptional<Date>;
  declare expiresAt: CreationOptional<Date | null>;
  declare revokedAt: CreationOptional<Date | null>;
  declare lastUsedAt: CreationOptional<Date | null>;
}

/** Row of `mails`. */
export class MailRow extends Model<InferAttributes<MailRow>, InferCreationAttributes<MailRow>> {
  declare id: CreationOptional<string>;
  declare userId: CreationOptional<string | null>;
  declare template: string;
  declare recipient: string;
  declare secretTokenId: CreationOptional<string | null>;
  declare state: CreationOptional<string>;
  declare attempts: CreationOptional<number>;
  declare lastError: CreationOptional<string | null>;
  declare createdAt: CreationOptional<Date>;
  declare giveUpAt: Date;
  declare sentAt: CreationOptional<Date | null>;
}

/** Row of `throttle`. */
export class ThrottleRow extends Model<InferAttributes<ThrottleRow>, InferCreationAttributes<ThrottleRow>> {
  declare key: string;
  declare countedAt: Date[];
  declare expiresAt: Date;
}

const { BIGINT, BLOB, BOOLEAN, DATE, INET, INTEGER, JSONB, SMALLINT, TEXT, UUID } = DataTypes;
const now = literal("now()");
const required = (type: DataTypes.DataType) => ({ type, allowNull: false });
const filled = (type: DataTypes.DataType, defaultValue: unknown) => ({ type, allowNull: false, defaultValue });
const generatedId = { type: BIGINT, primaryKey: true, autoIncrement: true, allowNull: false };
const randomId = { type: UUID, primaryKey: true, allowNull: false, defaultValue: literal("gen_random_uuid()") };

/** Binds each table's model to a connection pool of its own, so that two apps in one process do not share one. */
export function defineModels(sequelize: Sequelize) {
  const define = <M extends Model>(
    row: ModelStatic<M>,
    tableName: string,
    alias: string,
    attributes: ModelAttributes<M>,
  ): ModelStatic<M> => {
    const model = class extends (row as ModelStatic<Model>) {};
    model.init(attributes as ModelAttributes, {
      sequelize,
      tableName,
      modelName: alias,
      underscored: true,
      timestamps: false,
    });
    return model as ModelStatic<M>;
  };
  return {
    users: define(UserRow, "users", "u", {
      id: generatedId,
      username: required(TEXT),
      usernameKey: required(TEXT),
      email: required(TEXT),
      emailKey: required(TEXT),
      emailConfirmedAt: DATE,
      passwordHash: TEXT,
      passwordContested: filled(BOOLEAN, false),
      isActive: filled(BOOLEAN, true),
      blockedUntil: DATE,
      blockReason: TEXT,
      roles: filled(DataTypes.ARRAY(TEXT), []),
      locale: filled(TEXT, "en"),
      createdAt: filled(DATE, now),
      lastSignInAt: DATE,
      unclaimed: filled(BOOLEAN, literal("((email_confirmed_at IS NULL) AND (last_sign_in_at IS NULL))")),
    }),
    sessions: define(SessionRow, "sessions", "s", {
      id: randomId,
      userId: required(BIGINT),
      rotates: required(BOOLEAN),
      refreshCounter: filled(BIGINT, 0),
      refreshedAt: filled(DATE, now),
      idleExpiresAt: required(DATE),
      expiresAt: required(DATE),
      accessExpiresAt: required(DATE),
      endedAt: DATE,
      endReason: TEXT,
      deviceName: filled(TEXT, ""),
      address: INET,
      createdAt: filled(DATE, now),
    }),
    secretTokens: define(SecretTokenRow, "secret_tokens", "t", {
      id: randomId,
      userId: BIGINT,
      purpose: required(TEXT),
      email: required(TEXT),
      createdAt: filled(DATE, now),
      expiresAt: required(DATE),
      codeExpiresAt: DATE,
      codeTries: filled(SMALLINT, 0),
      usedAt: DATE,
      supersededAt: DATE,
    }),
    revocations: define(RevocationRow, "revocations", "r", {
      sessionId: { type: UUID, primaryKey: true, allowNull: false },
      tx: filled("xid8", literal("pg_current_xact_id()")),
      expiresAt: required(DATE),
    }),
    keys: define(KeyRow, "keys", "k", {
      id: { type: TEXT, primaryKey: true, allowNull: false },
      purpose: required(TEXT),
      alg: TEXT,
      publicJwk: JSONB,
      wrapped: required(BLOB),
      activeFrom: filled(DATE, now),
      retireAt: DATE,
      createdAt: filled(DATE, now),
    }),
    serviceKeys: define(ServiceKeyRow, "service_keys", "sk", {
      id: { type: TEXT, primaryKey: true, allowNull: false },
      name: required(TEXT),
      secretHash: required(BLOB),
      scopes: required(DataTypes.ARRAY(TEXT)),
      createdAt: filled(DATE, now),
      expiresAt: DATE,
      revokedAt: DATE,
      lastUsedAt: DATE,
    }),
    mails: define(MailRow, "mails", "m", {
      id: generatedId,
      userId: BIGINT,
      template: required(TEXT),
      recipient: required(TEXT),
      secretTokenId: UUID,
      state: filled(TEXT, "queued"),
      attempts: filled(INTEGER, 0),
      lastError: TEXT,
      createdAt: filled(DATE, now),
      giveUpAt: required(DATE),
      sentAt: DATE,
    }),
    throttle: define(ThrottleRow, "throttle", "th", {
      key: { type: TEXT, primaryKey: true, allowNull: false },
      countedAt: required(DataTypes.ARRAY(DATE)),
      expiresAt: required(DATE),
    }),
    auditEvents: define(AuditEventRow, "audit_events", "e", AUDIT_EVENT_ATTRIBUTES),
  };
}

/** The models of one database. */
export type Models = ReturnType<typeof defineModels>;
