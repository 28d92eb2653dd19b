import { literal, Op, type WhereOptions } from "sequelize";
import { recordedChange, type Trace } from "./audit-recording.ts";
import type { UserRow } from "./models.ts";
import type { Scope } from "./scope.ts";

/** An account as the rules see it. `isActive` is false only while a block is in force. */
export interface User {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly emailConfirmed: boolean;
  readonly isActive: boolean;
  readonly roles: readonly string[];
  readonly locale: string;
  readonly createdAt: Date;
  readonly lastSignInAt: Date | null;
}

/** An account with what a password is compared with; null: none is set. */
export interface Credentials extends User {
  readonly passwordHash: string | null;
}

/** An account that is in the way of a new one, and which of its names are. */
export interface Taken extends Credentials {
  readonly byEmail: boolean;
  readonly byUsername: boolean;
}

/** The two unique names of an account, as typed and canonical. */
export interface Identifiers {
  readonly username: string;
  readonly usernameKey: string;
  readonly email: string;
  readonly emailKey: string;
}

/** An account to be made; one without a password has it chosen by a reset. */
export interface NewAccount extends Identifiers {
  readonly passwordHash: string | null;
  readonly locale: string;
  readonly roles: readonly string[];
  readonly emailConfirmed: boolean;
}

/** One of the two names of an account, canonical. */
export type UserKey = Pick<Identifiers, "usernameKey"> | Pick<Identifiers, "emailKey">;

/** Where a page of accounts begins, and which of the two names it is ordered by. */
export interface UserPage {
  readonly by: "username" | "email";
  readonly prefix: string;
  readonly after: string | null;
  readonly limit: number;
}

/** SQL that is true while the account of `u` is not blocked. */
export const ACTIVE = "coalesce(u.is_active OR u.blocked_until <= now(), false)";

/** The columns of `u` that `toUser` reads. */
export const USER_COLUMNS = `u.id, u.username, u.email, u.email_confirmed_at AS "emailConfirmedAt", ${ACTIVE} AS "isActive",
  u.roles, u.locale, u.created_at AS "createdAt", u.last_sign_in_at AS "lastSignInAt"`;

/** The same for a read by the model, whose table Sequelize calls `u`. */
const USER_ATTRIBUTES = [
  ...["id", "username", "email", "emailConfirmedAt", "roles", "locale", "createdAt", "lastSignInAt"],
  [literal(ACTIVE), "isActive"] as [ReturnType<typeof literal>, string],
];

/** A row with USER_COLUMNS. */
export interface UserColumns {
  readonly id: string;
  readonly username: string;
  readonly email: string;
  readonly emailConfirmedAt: Date | null;
  readonly isActive: boolean;
  readonly roles: string[];
  readonly locale: string;
  readonly createdAt: Date;
  readonly lastSignInAt: Date | null;
}

/** Makes the plain record of a row with USER_COLUMNS. */
export function toUser(row: UserColumns): User {
  const { username, email, isActive, locale, createdAt, lastSignInAt } = row;
  const emailConfirmed = row.emailConfirmedAt !== null;
  return {
    id: Number(row.id),
    username,
    email,
    emailConfirmed,
    isActive,
    roles: [...row.roles].sort(),
    locale,
    createdAt,
    lastSignInAt,
  };
}

/** The columns of `u` that `toCredentials` reads. */
export const CREDENTIAL_COLUMNS = `${USER_COLUMNS}, u.password_hash AS "passwordHash"`;

/** A row with CREDENTIAL_COLUMNS. */
export type CredentialColumns = UserColumns & { passwordHash: string | null };

/** Makes the plain record of a row with CREDENTIAL_COLUMNS. */
export function toCredentials(row: CredentialColumns): Credentials {
  return { ...toUser(row), passwordHash: row.passwordHash };
}

/** What an event says of the roles that an account has by then: SQL. */
export const ROLES_DETAIL = "nullif(array_to_string(roles, ', '), '')";

// Of `insert`.
const NEW_ACCOUNT_EVENT = {
  user_id: "coalesce($9::bigint, id)",
  reason: "CASE WHEN $9::bigint IS NOT NULL THEN 'EMAIL_TAKEN' END",
  detail: ROLES_DETAIL,
};

// As many as can be live.
const NEWEST_SESSIONS = 100;

/** Statements on `users`. */
export function createUserStore({ query, models, options, read }: Scope) {
  const one = async (sql: string, ...bind: unknown[]): Promise<User | null> => {
    const [row] = await query<UserColumns>(sql, ...bind);
    return row ? toUser(row) : null;
  };

  // A raw read gives the attributes that were asked for, whatever its type says.
  const toColumns = <Row extends UserColumns>(row: object) => read(row as Row);
  const findOne = async <Row extends UserColumns>(
    where: WhereOptions<UserRow>,
    ...more: string[]
  ): Promise<Row | null> => {
    const row = await models.users.findOne({ attributes: [...USER_ATTRIBUTES, ...more], where, raw: true, ...options });
    return row && toColumns<Row>(row);
  };
  const find = async (where: WhereOptions<UserRow>): Promise<User | null> => {
    const row = await findOne(where);
    return row && toUser(row);
  };

  return {
    find: (id: number) => find({ id: String(id) }),
    findByKey: (key: UserKey) => find(key),

    async findCredentials(key: UserKey): Promise<Credentials | null> {
      const row = await findOne<CredentialColumns>(key, "passwordHash");
      return row && toCredentials(row);
    },

    /** The account that has one of the names; when two have, the one with the address, or that with the username. */
    async findTaken(names: Identifiers, first: "email" | "username" = "email"): Promise<Taken | null> {
      const [row] = await query<CredentialColumns & Pick<Taken, "byEmail" | "byUsername">>(
        `SELECT ${CREDENTIAL_COLUMNS}, u.email_key = $2 AS "byEmail", u.username_key = $1 AS "byUsername"
         FROM users u WHERE u.username_key = $1 OR u.email_key = $2
         ORDER BY ${first === "email" ? "u.email_key = $2" : "u.username_key = $1"} DESC LIMIT 1`,
        names.usernameKey,
        names.emailKey,
      );
      return row ? { ...toCredentials(row), byEmail: row.byEmail, byUsername: row.byUsername } : null;
    },

    /** Null when one of the names is taken. With a `holderId`, the log tells that the address of that account was refused. */
    insert(account: NewAccount, type: "sign_up" | "user_created", trace: Trace, holderId: number | null = null) {
      const { username, usernameKey, email, emailKey, passwordHash, locale, roles, emailConfirmed } = account;
      const insert = `INSERT INTO users AS u (username, username_key, email, email_key, password_hash, locale, roles, email_confirmed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 THEN now() END) ON CONFLICT DO NOTHING RETURNING ${USER_COLUMNS}`;
      const names = [username, usernameKey, email, emailKey];
      const bind = [...names, passwordHash, locale, roles, emailConfirmed, holderId];
      const event = {
        type: holderId === null ? type : ("sign_up_refused" as const),
        columns: NEW_ACCOUNT_EVENT,
        trace,
      };
      return one(...recordedChange(insert, bind, event));
    },

    /** Sets the password of an account whose address has just been proved by a mailed token. */
    setPassword(id: number, passwordHash: string, trace: Trace) {
      const update = `UPDATE users u SET password_hash = $2, password_contested = false,
        email_confirmed_at = coalesce(u.email_confirmed_at, now()) WHERE u.id = $1 RETURNING ${USER_COLUMNS}`;
      const event = { type: "password_reset" as const, columns: { user_id: "id" }, trace };
      return one(...recordedChange(update, [id, passwordHash], event));
    },

    /** The canonical names that a password of the account can be given for, and its newest sessions, ended or not. */
    async findLogins(id: number): Promise<{ logins: string[]; sessionIds: string[] }> {
      const [row] = await query<{ logins: string[]; sessionIds: string[] }>(
        `SELECT ARRAY[u.username_key, u.email_key] AS logins, ARRAY(SELECT s.id::text FROM sessions s
           WHERE s.user_id = u.id ORDER BY s.created_at DESC LIMIT ${NEWEST_SESSIONS}) AS "sessionIds"
         FROM users u WHERE u.id = $1`,
        id,
      );
      return row ?? { logins: [], sessionIds: [] };
    },

    /** Holds back sign-ins of the account until the transaction ends. False when there is no such account. */
    async lock(id: number): Promise<boolean> {
      return (await query(`SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE`, id)).length > 0;
    },

    /** The same for the account of a live session; gives its id. */
    async lockBySession(sessionId: string): Promise<number | null> {
      const [row] = await query<{ id: string }>(
        `SELECT u.id FROM users u JOIN sessions s ON s.user_id = u.id
         WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > now() FOR NO KEY UPDATE OF u`,
        sessionId,
      );
      return row ? Number(row.id) : null;
    },

    /** The same for the account of a mailed token, used or not. False when there is none. */
    async lockBySecretToken(tokenId: string): Promise<boolean> {
      const rows = await query(
        `SELECT 1 FROM users u JOIN secret_tokens t ON t.user_id = u.id WHERE t.id = $1 FOR NO KEY UPDATE OF u`,
        tokenId,
      );
      return rows.length > 0;
    },

    /** One page in the order of the canonical name, which comes beside each account. */
    async list({ by, prefix, after, limit }: UserPage): Promise<{ user: User; key: string }[]> {
      const key = by === "email" ? "emailKey" : "usernameKey";
      const range = { [Op.like]: `${prefix.replace(/[\\%_]/g, "\\$&")}%`, ...(after !== null && { [Op.gt]: after }) };
      const rows = await models.users.findAll({
        attributes: [...USER_ATTRIBUTES, key],
        where: { [key]: range },
        order: [key],
        limit,
        raw: true,
        ...options,
      });
      return rows.map((row) => ({ user: toUser(toColumns(row)), key: row[key] }));
    },
  };
}
