import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import type { KeyPurpose, WrappedKey } from "../db/keys.ts";
import type { Secret } from "../secret.ts";

/** Wraps keys for the database with SECRET_KEY, and opens them with it or with one that went before. */
export interface KeyWrapping {
  wrap(id: string, purpose: KeyPurpose, key: Buffer): Buffer;
  /** null when none of them opens it. */
  unwrap(row: WrappedKey): UnwrappedKey | null;
}

/** A key in clear, and whether it was a previous SECRET_KEY that opened it. */
export interface UnwrappedKey {
  readonly key: Buffer;
  readonly isOutdated: boolean;
}

/** SECRET_KEY does not unwrap the keys in the database. */
export class WrongSecretKey extends Error {
  constructor() {
    super(
      "SECRET_KEY does not open the keys in this database: it is not the one they were made with. " +
        "Start with that key (without SECRET_KEY it is the file secret-key in DATA_DIR), or name it in " +
        "SECRET_KEY_PREVIOUS beside the new one. If it is lost, no session, mailed link or password can be checked any more.",
    );
    this.name = "WrongSecretKey";
  }
}

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Derives the wrapping keys (RFC 5869) of the present secret and of those before it. */
export function createKeyWrapping(secretKey: Secret, previous: readonly Secret[]): KeyWrapping {
  const [current, ...earlier] = [secretKey, ...previous].map(deriveKey) as [Buffer, ...Buffer[]];
  return {
    wrap(id, purpose, key) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv("aes-256-gcm", current, iv).setAAD(associatedData(id, purpose));
      return Buffer.concat([iv, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
    },

    unwrap(row) {
      const key = open(current, row);
      if (key) return { key, isOutdated: false };
      for (const wrappingKey of earlier) {
        const opened = open(wrappingKey, row);
        if (opened) return { key: opened, isOutdated: true };
      }
      return null;
    },
  };
}

function deriveKey(secret: Secret): Buffer {
  return Buffer.from(hkdfSync("sha256", secret.reveal(), "", "latchkey/wrap/v1", 32));
}

function associatedData(id: string, purpose: KeyPurpose): Buffer {
  return Buffer.from(`${id}:${purpose}`);
}

function open(wrappingKey: Buffer, { id, purpose, wrapped }: WrappedKey): Buffer | null {
  try {
    const decipher = createDecipheriv("aes-256-gcm", wrappingKey, wrapped.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(associatedData(id, purpose)).setAuthTag(wrapped.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(wrapped.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}
