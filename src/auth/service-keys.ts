import { timingSafeEqual } from "node:crypto";
import { type Clock, now } from "../clock.ts";
import type { Database } from "../db/database.ts";
import { SERVICE_SCOPES, type ServiceKey, type ServiceScope, type StoredServiceKey } from "../db/service-keys.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError, invalidField } from "./errors.ts";
import { FieldFault, requireFields } from "./fields.ts";
import { startPolled } from "./polled.ts";
import { hashServiceKey, isServiceKeyId, makeServiceKey, serviceKeyId } from "./service-key.ts";
import { parseFutureTime } from "./times.ts";

/** A key that is to be made; `expiresAt` undefined: it never ends. */
export interface ServiceKeyRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | undefined;
}

/** The keys of other services, as the database has them within a second. */
export interface ServiceKeys {
  /** Gives what is kept, and the key itself, which is kept nowhere. */
  create(request: ServiceKeyRequest, context: CallContext): Promise<{ serviceKey: ServiceKey; key: string }>;
  /** Every key by name, with its last use in this process up to now, and in others up to a minute ago. */
  list(): Promise<readonly ServiceKey[]>;
  /** False when there was nothing to revoke. */
  revoke(id: string, context: CallContext): Promise<boolean>;
  /** Whose key this is; null for one that is not good now. Throws UNAVAILABLE when that is not known. */
  authenticate(key: string): Promise<ServiceKey | null>;
  /** Whether a key that was good still is; throws as `authenticate` does. */
  isGood(id: string): boolean;
  close(): Promise<void>;
}

const STALE_MS = 10_000;
const FLUSH_MS = 60_000;

/** Loads the service keys and keeps them: read again each second. */
export async function watchServiceKeys(db: Database, clock: Clock, log: Log): Promise<ServiceKeys> {
  const readAll = async () => {
    const rows = await db.statement(({ serviceKeys }) => serviceKeys.list());
    return new Map(rows.map((row) => [row.id, row]));
  };
  const polled = await startPolled(readAll, "service keys", log);
  const uses = createUses(db, log);

  const findGood = (id: string): StoredServiceKey | null => {
    if (polled.age() > STALE_MS) throw new AuthError("UNAVAILABLE");
    const found = polled.value().get(id);
    const hasEnded = !found || found.revokedAt !== null || (found.expiresAt?.getTime() ?? Infinity) <= now(clock);
    return hasEnded ? null : found;
  };

  return {
    async create(request, context) {
      const { name, scopes, expire_time: expiresAt } = parseRequest(request, now(clock));
      const { id, key } = makeServiceKey();
      const row = { id, name, scopes, secretHash: hashServiceKey(key), expiresAt };
      const serviceKey = await db.statement(({ serviceKeys }) => serviceKeys.insert(row, context));
      if (!serviceKey) throw invalidField("name", "MALFORMED", "is the name of another key");
      return { serviceKey, key };
    },

    async list() {
      await uses.flush();
      return db.statement(({ serviceKeys }) => serviceKeys.list());
    },

    async revoke(id, context) {
      if (!isServiceKeyId(id)) return false;
      const revoked = await db.statement(({ serviceKeys }) => serviceKeys.revoke(id, context));
      await polled.read();
      return revoked;
    },

    async authenticate(key) {
      const id = serviceKeyId(key);
      if (id === null) return null;
      // One that was just made, here or by another process.
      if (!polled.value().has(id)) await polled.reread();
      const found = findGood(id);
      if (!found || !timingSafeEqual(found.secretHash, hashServiceKey(key))) return null;
      uses.note(id, new Date(now(clock)));
      return found;
    },

    isGood: (id) => findGood(id) !== null,

    async close() {
      await polled.close();
      await uses.close();
    },
  };
}

/** Last uses, written once a minute for all keys together, and before they are told. */
function createUses(db: Database, log: Log) {
  let times = new Map<string, Date>();
  const flush = async () => {
    if (times.size === 0) return;
    const noted = times;
    times = new Map();
    try {
      await db.statement(({ serviceKeys }) => serviceKeys.markUsed(noted));
    } catch (error) {
      // What came meanwhile is later.
      times = new Map([...noted, ...times]);
      log.warn({ error }, "the last uses of service keys cannot be written");
    }
  };
  const polling = startPolling(FLUSH_MS, flush);
  return {
    note: (id: string, time: Date) => void times.set(id, time),
    flush,
    async close() {
      await polling.close();
      await flush();
    },
  };
}

function parseRequest({ name, scopes, expiresAt }: ServiceKeyRequest, now: number) {
  return requireFields({
    name: () => parseName(name),
    scopes: () => parseScopes(scopes),
    expire_time: () => parseFutureTime(expiresAt, now),
  });
}

function parseName(name: string): string {
  if (name === "") throw new FieldFault("REQUIRED", "must be given");
  if (!/^[\w.-]{1,64}$/.test(name)) throw new FieldFault("MALFORMED", "must be 1 to 64 letters, digits and . _ -");
  return name;
}

function parseScopes(scopes: readonly string[]): ServiceScope[] {
  if (scopes.length === 0) throw new FieldFault("REQUIRED", "must name at least one");
  const known = SERVICE_SCOPES.filter((scope) => scopes.includes(scope));
  if (known.length < new Set(scopes).size)
    throw new FieldFault("MALFORMED", "must be INTROSPECT, WATCH, ADMIN or GATEWAY");
  return known;
}
