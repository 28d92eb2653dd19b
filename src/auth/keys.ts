import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import type { Database } from "../db/database.ts";
import type { KeyPurpose, WrappedKey } from "../db/keys.ts";
import type { Secret } from "../secret.ts";

/** A key pair for access tokens; `kid` is the RFC 7638 thumbprint of the public one. */
export interface SigningKey {
  readonly kid: string;
  readonly alg: "ES256";
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Every key of the service, unwrapped. */
export interface KeyRing {
  readonly signing: SigningKey;
  readonly verifying: ReadonlyMap<string, SigningKey>;
  readonly refreshToken: Buffer;
  readonly secretToken: Buffer;
  readonly pepper: { readonly id: string; readonly key: Buffer };
  readonly peppers: ReadonlyMap<string, Buffer>;
}

/** SECRET_KEY does not unwrap the keys in the database. */
export class WrongSecretKey extends Error {
  constructor() {
    super(
      "SECRET_KEY does not open the keys in this database: it is not the one they were made with. " +
        "Start with that key (without SECRET_KEY it is the file secret-key in DATA_DIR). If it is lost, no session, mailed link or " +
        "password can be checked any more.",
    );
    this.name = "WrongSecretKey";
  }
}

const PURPOSES: readonly KeyPurpose[] = ["sign_access", "refresh_token", "secret_token", "pepper"];
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Loads the keys, first making those that are missing: once, however many processes start at once. */
export async function loadKeys(db: Database, secretKey: Secret): Promise<KeyRing> {
  const wrappingKey = deriveWrappingKey(secretKey);
  const stored = await db.transaction(async ({ keys }) => {
    await keys.lock();
    const found = await keys.list();
    // Checked before any key is made: a wrong SECRET_KEY must not leave one behind.
    const made = findMissingPurposes(found, secretKey).map((purpose) => makeKey(wrappingKey, purpose));
    for (const key of made) await keys.insert(key);
    return [...found, ...made];
  });
  return toKeyRing(stored.map((key) => ({ id: key.id, purpose: key.purpose, key: unwrap(wrappingKey, key) })));
}

/** What there is no key for yet. Throws WrongSecretKey if there is any key that SECRET_KEY does not open. */
export function findMissingPurposes(stored: readonly WrappedKey[], secretKey: Secret): KeyPurpose[] {
  const wrappingKey = deriveWrappingKey(secretKey);
  for (const key of stored) unwrap(wrappingKey, key);
  return PURPOSES.filter((purpose) => !stored.some((key) => key.purpose === purpose));
}

function deriveWrappingKey(secretKey: Secret): Buffer {
  return Buffer.from(hkdfSync("sha256", secretKey.reveal(), "", "latchkey/wrap/v1", 32));
}

function toKeyRing(
  keys: readonly { readonly id: string; readonly purpose: KeyPurpose; readonly key: Buffer }[],
): KeyRing {
  const all = (purpose: KeyPurpose) => keys.filter((key) => key.purpose === purpose);
  const newest = (purpose: KeyPurpose) => {
    const found = all(purpose).at(-1);
    if (!found) throw new Error(`there is no key for ${purpose}`);
    return found;
  };
  const verifying = new Map(all("sign_access").map(({ id, key }) => [id, toSigningKey(id, key)]));
  return {
    signing: verifying.get(newest("sign_access").id) as SigningKey,
    verifying,
    refreshToken: newest("refresh_token").key,
    secretToken: newest("secret_token").key,
    pepper: newest("pepper"),
    peppers: new Map(all("pepper").map(({ id, key }) => [id, key])),
  };
}

function toSigningKey(kid: string, der: Buffer): SigningKey {
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return { kid, alg: "ES256", privateKey, publicKey: createPublicKey(privateKey) };
}

function makeKey(wrappingKey: Buffer, purpose: KeyPurpose): WrappedKey {
  if (purpose !== "sign_access") {
    const id = randomBytes(9).toString("base64url");
    return { id, purpose, alg: null, publicJwk: null, wrapped: wrap(wrappingKey, id, purpose, randomBytes(32)) };
  }
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { crv, kty, x, y } = publicKey.export({ format: "jwk" });
  // RFC 7638 section 3: the required members in lexicographic order.
  const id = createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  return { id, purpose, alg: "ES256", publicJwk: { kty, crv, x, y }, wrapped: wrap(wrappingKey, id, purpose, der) };
}

function wrap(wrappingKey: Buffer, id: string, purpose: KeyPurpose, key: Buffer): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", wrappingKey, iv).setAAD(Buffer.from(`${id}:${purpose}`));
  return Buffer.concat([iv, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
}

function unwrap(wrappingKey: Buffer, { id, purpose, wrapped }: WrappedKey): Buffer {
  try {
    const decipher = createDecipheriv("aes-256-gcm", wrappingKey, wrapped.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(`${id}:${purpose}`)).setAuthTag(wrapped.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(wrapped.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw new WrongSecretKey();
  }
}
