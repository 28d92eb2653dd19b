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

/** The same with its times: from when it is used, and from when it is not accepted any more. */
export interface StoredKey extends WrappedKey {
  readonly activeFrom: Date;
  readonly retireAt: Date | null;
}

// Its own statement before the keys are read: inside the inserting one, several processes each make a key.
const KEYS_LOCK = 7_217_002;

const MS = "interval '1 ms'";

/** Statements on `keys`. */
export function createKeyStore({ query, models, options, read }: Scope) {
  return {
    /** Makes other processes that would make keys wait until the transaction ends. */
    async lock(): Promise<void> {
      await query("SELECT pg_advisory_xact_lock($1)", KEYS_LOCK);
    },

    /** Every key, in the order in which they come into use. */
    async list(): Promise<StoredKey[]> {
      const rows = await models.keys.findAll({ order: ["activeFrom", "id"], raw: true, ...options });
      return rows.map(({ id, purpose, alg, publicJwk, wrapped, activeFrom, retireAt }) =>
        read({ id, purpose: purpose as KeyPurpose, alg, publicJwk, wrapped, activeFrom, retireAt }),
      );
    },

    /** Keeps a key that is in use from now on. */
    async insert(key: WrappedKey): Promise<void> {
      await models.keys.create({ ...key }, options);
    },

    /**
     * Keeps a signing key that comes into use after `leadMs`. Those before it are accepted for `acceptMs` more, and in
     * any case until the last token that they have signed is over.
     */
    async succeed({ id, alg, publicJwk, wrapped }: WrappedKey, leadMs: number, acceptMs: number): Promise<void> {
      await query(
        `WITH fresh AS (
           INSERT INTO keys (id, purpose, alg, public_jwk, wrapped, active_from)
           VALUES ($1, 'sign_access', $2, $3::jsonb, $4, now() + $5 * ${MS}))
         UPDATE keys SET retire_at = interval '30 s' + greatest(now() + $6 * ${MS},
           (SELECT max(s.access_expires_at) FROM sessions s WHERE s.ended_at IS NULL))
         WHERE purpose = 'sign_access' AND retire_at IS NULL`,
        ...[id, alg, JSON.stringify(publicJwk), wrapped, leadMs, acceptMs],
      );
    },

    /** Accepts a signing key no more. */
    async retire(id: string): Promise<void> {
      await query("UPDATE keys SET retire_at = now() WHERE id = $1 AND purpose = 'sign_access'", id);
    },

    /** Keeps the same key in another wrapping. */
    async rewrap(id: string, wrapped: Buffer): Promise<void> {
      await models.keys.update({ wrapped }, { where: { id }, ...options });
    },
  };
}
