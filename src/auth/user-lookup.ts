import type { Database } from "../db/database.ts";
import type { Block } from "../db/managed-accounts.ts";
import type { User } from "../db/users.ts";
import { AuthError, invalidField } from "./errors.ts";
import { FieldFault, requireFields } from "./fields.ts";
import { foldPrefix, parseLogin, parseUserId } from "./identifiers.ts";
import { parsePageSize } from "./pages.ts";

/** A page of accounts, asked for. */
export interface UserQuery {
  readonly prefix: string;
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Why an account is blocked, in an admin's words, and until when. */
export type { Block };

/** How admins find accounts. */
export function createUserLookup(db: Database) {
  return {
    async getUser(userId: bigint): Promise<User> {
      const { user_id: id } = requireFields({ user_id: () => parseUserId(userId) });
      return found(await db.statement(({ users }) => users.find(id)));
    },

    /** The account of an id, a username or an address, for the operator at a terminal. */
    async findUser(text: string): Promise<User> {
      const key = parseLogin(text);
      const named = key && (await db.statement(({ users }) => users.findByKey(key)));
      if (!/^\d{1,16}$/.test(text)) return found(named);
      const numbered = await db.statement(({ users }) => users.find(Number(text)));
      if (named && numbered && named.id !== numbered.id)
        throw invalidField(
          "user",
          "MALFORMED",
          "is the id of one account and the username of another: give an address",
        );
      return found(numbered ?? named);
    },

    /** The block of an account that is in force, for the operator at a terminal. */
    findBlock(id: number): Promise<Block | null> {
      return db.statement(({ managedAccounts }) => managedAccounts.findBlock(id));
    },

    async listUsers({ prefix, pageSize, pageToken }: UserQuery): Promise<{ users: User[]; nextPageToken: string }> {
      const fields = requireFields({
        prefix: () => foldPrefix(prefix),
        page_size: () => parsePageSize(pageSize),
        page_token: () => parsePageToken(pageToken),
      });
      const page = {
        by: prefix.includes("@") ? ("email" as const) : ("username" as const),
        prefix: fields.prefix,
        after: fields.page_token,
      };
      const rows = await db.statement(({ users }) => users.list({ ...page, limit: fields.page_size + 1 }));
      const shown = rows.slice(0, fields.page_size);
      const last = rows.length > shown.length ? shown.at(-1) : undefined;
      return {
        users: shown.map(({ user }) => user),
        nextPageToken: last ? Buffer.from(last.key).toString("base64url") : "",
      };
    },
  };
}

function found(user: User | null): User {
  if (!user) throw new AuthError("USER_NOT_FOUND");
  return user;
}

function parsePageToken(token: string): string | null {
  if (token === "") return null;
  const key = Buffer.from(token, "base64url").toString("utf8");
  if (Buffer.from(key).toString("base64url") !== token || /[\0\uFFFD]/.test(key))
    throw new FieldFault("MALFORMED", "must be a next_page_token");
  return key;
}
