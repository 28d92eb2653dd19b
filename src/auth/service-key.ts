import { createHash, randomBytes, randomInt } from "node:crypto";

/** A service key in clear, as it is told once. */
export interface IssuedKey {
  readonly id: string;
  readonly key: string;
}

const ID_LENGTH = 12;
const SECRET_BYTES = 32;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
// By length: the secret may hold `_` too.
const KEY = /^lk_([A-Za-z0-9]{12})_[A-Za-z0-9_-]{43}$/;

/** Makes a key: `lk_`, its id, `_` and 256 random bits. */
export function makeServiceKey(): IssuedKey {
  const id = Array.from({ length: ID_LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join("");
  return { id, key: joinServiceKey(id, randomBytes(SECRET_BYTES).toString("base64url")) };
}

/** Whether this can be the id of a key. */
export function isServiceKeyId(text: string): boolean {
  return /^[A-Za-z0-9]{12}$/.test(text);
}

/** The id in a key; null for what has not the form of one. */
export function serviceKeyId(key: string): string | null {
  return KEY.exec(key)?.[1] ?? null;
}

/** The whole of a key whose two parts were told apart. */
export function joinServiceKey(id: string, secret: string): string {
  return `lk_${id}_${secret}`;
}

/** What is kept of a key: it is too random to be guessed from its hash. */
export function hashServiceKey(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
