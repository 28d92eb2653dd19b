import { randomBytes } from "node:crypto";
import type { Database, Stores } from "../db/database.ts";
import type { KeyPurpose, StoredKey, WrappedKey } from "../db/keys.ts";
import type { KeyWrapping } from "./key-wrapping.ts";

/** The keys of the service that sign no access tokens, unwrapped. */
export interface KeyRing {
  readonly refreshToken: Buffer;
  readonly secretToken: Buffer;
  readonly pepper: { readonly id: string; readonly key: Buffer };
  readonly peppers: ReadonlyMap<string, Buffer>;
}

const PURPOSES = ["refresh_token", "secret_token", "pepper"] as const satisfies readonly KeyPurpose[];

/**
 * Loads the keys, first making those that are missing: once, however many processes start at once. What a previous
 * SECRET_KEY opened is wrapped anew.
 */
export async function loadKeys(db: Database, wrapping: KeyWrapping): Promise<KeyRing> {
  const stored = await db.transaction(async (tx) => {
    await tx.keys.lock();
    const found = await tx.keys.list();
    // Checked before any key is made: a wrong SECRET_KEY must not leave one behind.
    const missing = findMissingPurposes(found, wrapping);
    await rewrapOutdated(tx, found, wrapping);
    const made = missing.map((purpose) => makeKey(wrapping, purpose));
    for (const key of made) await tx.keys.insert(key);
    return [...found, ...made];
  });
  return toKeyRing(stored.map((row) => ({ ...row, key: wrapping.unwrap(row).key })));
}

/** What there is no key for yet. Throws WrongSecretKey if there is any key that cannot be opened. */
export function findMissingPurposes(stored: readonly WrappedKey[], wrapping: KeyWrapping): (typeof PURPOSES)[number][] {
  for (const key of stored) wrapping.unwrap(key);
  return PURPOSES.filter((purpose) => !stored.some((key) => key.purpose === purpose));
}

async function rewrapOutdated({ keys }: Stores, found: readonly StoredKey[], wrapping: KeyWrapping): Promise<void> {
  const opened = found.map((row) => ({ row, ...wrapping.unwrap(row) }));
  for (const { row, key } of opened.filter(({ isOutdated }) => isOutdated))
    await keys.rewrap(row.id, wrapping.wrap(row.id, row.purpose, key));
}

function toKeyRing(keys: readonly (WrappedKey & { readonly key: Buffer })[]): KeyRing {
  const all = (purpose: KeyPurpose) => keys.filter((key) => key.purpose === purpose);
  const newest = (purpose: KeyPurpose) => {
    const found = all(purpose).at(-1);
    if (!found) throw new Error(`there is no key for ${purpose}`);
    return found;
  };
  return {
    refreshToken: newest("refresh_token").key,
    secretToken: newest("secret_token").key,
    pepper: newest("pepper"),
    peppers: new Map(all("pepper").map(({ id, key }) => [id, key])),
  };
}

function makeKey(wrapping: KeyWrapping, purpose: (typeof PURPOSES)[number]): WrappedKey {
  const id = randomBytes(9).toString("base64url");
  return { id, purpose, alg: null, publicJwk: null, wrapped: wrapping.wrap(id, purpose, randomBytes(32)) };
}
