import { randomBytes } from "node:crypto";
import type { Database } from "../db/database.ts";
import type { KeyPurpose, WrappedKey } from "../db/keys.ts";
import { type KeyWrapping, type UnwrappedKey, WrongSecretKey } from "./key-wrapping.ts";

/** The keys of the service that sign no access tokens, unwrapped. */
export interface KeyRing {
  readonly refreshToken: Buffer;
  readonly secretToken: Buffer;
  readonly pepper: { readonly id: string; readonly key: Buffer };
  readonly peppers: ReadonlyMap<string, Buffer>;
  /** Hides whom the limits count. */
  readonly identifier: Buffer;
}

/** A key in clear, and whether it was a previous SECRET_KEY that opened it. */
export interface OpenedKey extends WrappedKey, UnwrappedKey {}

/** What there must be a key for, beside signatures. */
export type RingPurpose = (typeof PURPOSES)[number];

const PURPOSES = ["refresh_token", "secret_token", "pepper", "identifier"] as const satisfies readonly KeyPurpose[];

/**
 * Loads the keys, first making those that are missing: once, however many processes start at once. What a previous
 * SECRET_KEY opened is wrapped anew.
 */
export async function loadKeys(db: Database, wrapping: KeyWrapping): Promise<KeyRing> {
  const ring = await db.transaction(async ({ keys }) => {
    await keys.lock();
    // Opened before any key is made: a wrong SECRET_KEY must not leave one behind.
    const opened = openKeys(await keys.list(), wrapping);
    for (const { id, purpose, key, isOutdated } of opened)
      if (isOutdated) await keys.rewrap(id, wrapping.wrap(id, purpose, key));
    const made = findMissingPurposes(opened).map((purpose) => makeKey(purpose, wrapping));
    for (const key of made) await keys.insert(key);
    return [...opened, ...made];
  });
  return toKeyRing(ring);
}

/**
 * Opens keys. One that signs may stay closed, since a process with another SECRET_KEY may have made it; throws
 * WrongSecretKey when any other does, or all do.
 */
export function openKeys(stored: readonly WrappedKey[], wrapping: KeyWrapping): OpenedKey[] {
  const opened = stored.flatMap((row) => {
    const unwrapped = wrapping.unwrap(row);
    if (!unwrapped && row.purpose !== "sign_access") throw new WrongSecretKey();
    return unwrapped ? [{ ...row, ...unwrapped }] : [];
  });
  if (opened.length === 0 && stored.length > 0) throw new WrongSecretKey();
  return opened;
}

/** What there is no key for yet. */
export function findMissingPurposes(keys: readonly WrappedKey[]): RingPurpose[] {
  return PURPOSES.filter((purpose) => !keys.some((key) => key.purpose === purpose));
}

function makeKey(purpose: RingPurpose, wrapping: KeyWrapping): WrappedKey & { readonly key: Buffer } {
  const id = randomBytes(9).toString("base64url");
  const key = randomBytes(32);
  return { id, purpose, alg: null, publicJwk: null, key, wrapped: wrapping.wrap(id, purpose, key) };
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
    identifier: newest("identifier").key,
  };
}
