import { type AuditEventType, recordedChange, type Trace } from "./audit-recording.ts";
import type { Scope } from "./scope.ts";

/** What the holder of a service key may do: the whole list. */
export const SERVICE_SCOPES = ["introspect", "watch", "admin", "gateway"] as const;

/** One of the list. */
export type ServiceScope = (typeof SERVICE_SCOPES)[number];

/** A key of another service, without the key itself. */
export interface ServiceKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly ServiceScope[];
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
}

/** The same with the SHA-256 of the key. */
export interface StoredServiceKey extends ServiceKey {
  readonly secretHash: Buffer;
}

/** A key that is to be kept. */
export type NewServiceKey = Pick<StoredServiceKey, "id" | "name" | "scopes" | "secretHash" | "expiresAt">;

const COLUMNS = `id, name, scopes, secret_hash AS "secretHash", created_at AS "createdAt", expires_at AS "expiresAt",
  revoked_at AS "revokedAt", last_used_at AS "lastUsedAt"`;

/** Statements on `service_keys`. */
export function createServiceKeyStore({ query, write }: Scope) {
  return {
    /** Null when another key has the name. */
    async insert(
      { id, name, scopes, secretHash, expiresAt }: NewServiceKey,
      trace: Trace,
    ): Promise<StoredServiceKey | null> {
      const insert = `INSERT INTO service_keys (id, name, scopes, secret_hash, expires_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (name) DO NOTHING RETURNING ${COLUMNS}`;
      const bind = [id, name, scopes, secretHash, expiresAt && write(expiresAt)];
      const [row] = await query<StoredServiceKey>(
        ...recordedChange(insert, bind, eventOf("service_key_created", trace)),
      );
      return row ?? null;
    },

    list: () => query<StoredServiceKey>(`SELECT ${COLUMNS} FROM service_keys ORDER BY name COLLATE "C"`),

    /** False when there is no such key that was good. */
    async revoke(id: string, trace: Trace): Promise<boolean> {
      const update =
        "UPDATE service_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING id, name";
      const rows = await query(...recordedChange(update, [id], eventOf("service_key_revoked", trace)));
      return rows.length > 0;
    },

    /** Remembers when keys were last used. */
    async markUsed(uses: ReadonlyMap<string, Date>): Promise<void> {
      const times = [...uses.values()].map(write);
      await query(
        `UPDATE service_keys k SET last_used_at = greatest(k.last_used_at, u.at)
         FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at) WHERE k.id = u.id`,
        ...[[...uses.keys()], times],
      );
    },
  };
}

function eventOf(type: AuditEventType, trace: Trace) {
  return { type, columns: { detail: "id || ' ' || name" }, trace };
}
