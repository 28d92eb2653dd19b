import { KEYS_LOCK } from "./advisory-locks.ts";
import { OPERATOR, recordedChange, type Trace } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";

/** What a key is for. */
export type KeyPurpose = "sign_access" | "refresh_token" | "secret_token" | "pepper" | "identifier";

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
  /** The database's time when it was read: processes' clocks differ. */
  readonly readAt: Date;
}

/** How signing keys make way for a successor; times in milliseconds from now. */
export interface Succession {
  /** When the successor is used. */
  readonly leadMs: number;
  /** The lifetime of tokens that the keys before it sign until then. */
  readonly tokenTtl: number;
  /** Keys of this algorithm that would have been used after the successor are retired at once. */
  readonly alg: string;
}

const MS = "interval '1 ms'";

/** How long a key is accepted after the last token that it signed is over: a verifier's clock may be behind by as much. */
export const RETIREMENT_MARGIN_MS = 30_000;

/** Statements on `keys`. */
export function createKeyStore({ query, models, options, write }: Scope) {
  return {
    /**
     * Makes other processes that would make keys wait until the transaction ends. A statement by itself, before the keys
     * are read: inside the inserting one, several processes each make a key.
     */
    async lock(): Promise<void> {
      await query("SELECT pg_advisory_xact_lock($1)", KEYS_LOCK);
    },

    /** Every key that is not retired by the database's clock, in the order in which they come into use. */
    async list(): Promise<StoredKey[]> {
      return query<StoredKey>(
        `SELECT id, purpose, alg, public_jwk AS "publicJwk", wrapped, active_from AS "activeFrom", retire_at AS "retireAt",
           now() AS "readAt"
         FROM keys WHERE retire_at IS NULL OR retire_at > now() ORDER BY active_from, id`,
      );
    },

    /** Keeps a key that signs nothing. */
    async insert({ id, purpose, wrapped }: WrappedKey): Promise<void> {
      await query("INSERT INTO keys (id, purpose, wrapped) VALUES ($1, $2, $3)", id, purpose, wrapped);
    },

    /** Keeps a signing key that comes into use after `leadMs`. */
    async insertSigning(
      { id, alg, publicJwk, wrapped }: Omit<WrappedKey, "purpose">,
      leadMs: number,
      trace: Trace,
    ): Promise<void> {
      const insert = `INSERT INTO keys (id, purpose, alg, public_jwk, wrapped, active_from)
        VALUES ($1, 'sign_access', $2, $3::jsonb, $4, now() + $5 * ${MS}) RETURNING id`;
      const bind = [id, alg, JSON.stringify(publicJwk), wrapped, leadMs];
      await query(...recordedChange(insert, bind, { type: "signing_key_created", columns: { detail: "id" }, trace }));
    },

    /**
     * Retires the signing keys that have no end yet, when the last token is over that any process may have signed; and
     * those that were to follow, be it before others.
     */
    async supersede({ leadMs, tokenTtl, alg }: Succession): Promise<void> {
      await query(
        `UPDATE keys SET retire_at = CASE WHEN alg = $3 AND active_from > now() + $1 * ${MS} THEN now()
           ELSE $4 * ${MS} + greatest(now() + ($1 + $2) * ${MS},
             (SELECT max(s.access_expires_at) FROM sessions s WHERE s.ended_at IS NULL)) END
         WHERE purpose = 'sign_access' AND (retire_at IS NULL
           OR retire_at > now() AND alg = $3 AND active_from > now() + $1 * ${MS})`,
        ...[leadMs, tokenTtl, alg, RETIREMENT_MARGIN_MS],
      );
    },

    /** Accepts a key that is to be retired at least until then; one that is retired stays so. */
    async keep(id: string, until: Date): Promise<void> {
      // now() may lie before the transaction that retired it, for which this statement has waited.
      const sql = "UPDATE keys SET retire_at = $2 WHERE id = $1 AND retire_at < $2 AND retire_at > clock_timestamp()";
      await query(sql, id, write(until));
    },

    /** Accepts a signing key no more: the operator's wish. */
    async retire(id: string): Promise<void> {
      const update = "UPDATE keys SET retire_at = now() WHERE id = $1 AND purpose = 'sign_access' RETURNING id";
      const event = { type: "signing_key_retired" as const, columns: { detail: "id" }, trace: OPERATOR };
      await query(...recordedChange(update, [id], event));
    },

    /** Keeps the same key in another wrapping. */
    async rewrap(id: string, wrapped: Buffer): Promise<void> {
      await models.keys.update({ wrapped }, { where: { id }, ...options });
    },
  };
}
