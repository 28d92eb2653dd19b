import {
  constants,
  createHmac,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import type { Algorithm } from "../../src/auth/signing-key.ts";

/** Makes the signature of a JWS of what stands before its last dot. */
export type Sign = (input: string) => string;

/** How each algorithm signs with a key that fits it (RFC 7518 section 3.1), whatever the key is kept for. */
export const SIGNERS: Readonly<Record<Algorithm | "RS384" | "PS384" | "HS384", (key: KeyObject) => Sign>> = {
  ES256: (key) => signer("sha256", { key, dsaEncoding: "ieee-p1363" }),
  RS256: (key) => signer("sha256", { key }),
  PS256: (key) => signer("sha256", pss(key)),
  HS256: (key) => mac("sha256", key),
  RS384: (key) => signer("sha384", { key }),
  PS384: (key) => signer("sha384", pss(key)),
  HS384: (key) => mac("sha384", key),
};

/** A private key, or a secret, that an algorithm can sign with and that nobody else has. */
export function ownKey(alg: Algorithm): KeyObject {
  if (alg === "HS256") return createSecretKey(randomBytes(32));
  const { privateKey } =
    alg === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return privateKey;
}

/** A compact JWS of a header and claims as they are written here. */
export function joinJws(header: string, claims: string, sign: Sign): string {
  const input = [header, claims].map((part) => Buffer.from(part).toString("base64url")).join(".");
  return `${input}.${sign(input)}`;
}

/** Signs with HMAC-SHA-256 and whatever is taken for its secret. */
export function hs256(secret: string | Buffer): Sign {
  return SIGNERS.HS256(createSecretKey(Buffer.from(secret)));
}

/** An ES256 signature as everybody but JOSE writes it. */
export function derSigner(key: KeyObject): Sign {
  return signer("sha256", { key, dsaEncoding: "der" });
}

type PrivateKey = Exclude<Parameters<typeof sign>[2], KeyObject | string | Buffer>;

function signer(hash: string, key: object): Sign {
  return (input) => sign(hash, Buffer.from(input), key as PrivateKey).toString("base64url");
}

function pss(key: KeyObject): object {
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}

function mac(hash: string, key: KeyObject): Sign {
  return (input) => createHmac(hash, key).update(input).digest("base64url");
}
