import { KEYS_LOCK } from "./advisory-locks.ts";
import type { Scope } from "./scope.ts";

/** What a key is for. */
export type KeyPurpose = "sign_access" | "refresh_token" | "secret_token" | "pepper";

/** A key as it is kept: wrapped. */
export interface WrappedKey {
  readonly id: string;
  readonly purpose: KeyPurpose;
  readonly alg: string | null;
  readonly publicJwk: object | null;
  readonly wrapped: Buffer;
}

/** Statements on `keys`. */
export function createKeyStore({ query, models, options }: Scope) {
  return {
    /**
     * Makes other processes that would make keys wait until the transaction ends. A statement by itself, before the keys
     * are read: inside the inserting one, several processes each make a key.
     */
    async lock(): Promise<void> {
      await query("SELECT pg_advisory_xact_lock($1)", KEYS_LOCK);
    },

    /** Every key, oldest first. */
    async list(): Promise<WrappedKey[]> {
      const rows = await models.keys.findAll({ order: ["activeFrom", "id"], raw: true, ...options });
      return rows.map(({ id, purpose, alg, publicJwk, wrapped }) => ({
        id,
        purpose: purpose as KeyPurpose,
        alg,
        publicJwk,
        wrapped,
      }));
    },

    async insert(key: WrappedKey): Promise<void> {
      await models.keys.create({ ...key }, options);
    },
  };
}
