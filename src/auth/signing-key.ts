import {
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPair,
  type KeyObject,
} from "node:crypto";
import { promisify } from "node:util";
import type { Secret } from "../secret.ts";
import type { VerifyingKey as Key } from "../token/strict-jwt.ts";

const PAIR_ALGORITHMS = ["ES256", "RS256", "PS256"] as const;

/** Algorithms whose keys are kept in the database (RFC 7518 section 3.1). */
export type PairAlgorithm = (typeof PAIR_ALGORITHMS)[number];

/** What access tokens may be signed with. */
export type Algorithm = PairAlgorithm | "HS256";

/** A key that access tokens are checked with, by its name. */
export interface VerifyingKey extends Key {
  /** RFC 7638 thumbprint of the public key; `hs256` for HS256. */
  readonly kid: string;
}

/** A key that access tokens are signed with; for HS256 both halves are the one secret. */
export interface SigningKey extends VerifyingKey {
  readonly privateKey: KeyObject;
}

/** A public key as a JWK (RFC 7517 section 4), with only the members that make the key. */
export type PublicJwk = Readonly<Record<string, string>>;

/** A fresh key: its name, its public half, and the private one as PKCS #8. */
export interface FreshKey {
  readonly kid: string;
  readonly alg: PairAlgorithm;
  readonly publicJwk: PublicJwk;
  readonly der: Buffer;
}

const SHARED_KID = "hs256";
// RFC 7518 section 3.3 asks for at least as much.
const RSA_BITS = 2048;
// RFC 7638 section 3.2: the required members of each kind of key, in lexicographic order.
const REQUIRED_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ["crv", "kty", "x", "y"],
  RSA: ["e", "kty", "n"],
};
const generate = promisify(generateKeyPair);

/** Whether this version knows keys of an algorithm that stands in the database. */
export function isPairAlgorithm(alg: string | null): alg is PairAlgorithm {
  return PAIR_ALGORITHMS.some((known) => known === alg);
}

/** Makes a key pair, whose name can be an argument of a command: none begins with `-`, as of an option. */
export async function generateSigningKey(alg: PairAlgorithm): Promise<FreshKey> {
  const { privateKey, publicKey } =
    alg === "ES256"
      ? await generate("ec", { namedCurve: "P-256" })
      : await generate("rsa", { modulusLength: RSA_BITS });
  const publicJwk = toPublicJwk(publicKey);
  const kid = thumbprint(publicJwk);
  if (kid.startsWith("-")) return generateSigningKey(alg);
  return { kid, alg, publicJwk, der: privateKey.export({ format: "der", type: "pkcs8" }) };
}

/** The key of a private half, in the form of FreshKey. */
export function readSigningKey(kid: string, alg: Algorithm, der: Buffer): SigningKey {
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return { kid, alg, privateKey, publicKey: createPublicKey(privateKey) };
}

/** The public half as it is kept beside the wrapped one; null when it is not the one that `kid` names. */
export function readPublicKey(kid: string, jwk: object | null): KeyObject | null {
  if (!jwk || thumbprint(jwk as PublicJwk) !== kid) return null;
  try {
    return createPublicKey({ key: { ...jwk }, format: "jwk" });
  } catch {
    return null;
  }
}

/** The key of JWT_SECRET, which other backends check tokens with themselves. */
export function sharedKey(secret: Secret): SigningKey {
  const key = createSecretKey(Buffer.from(secret.reveal()));
  return { kid: SHARED_KID, alg: "HS256", privateKey: key, publicKey: key };
}

function toPublicJwk(publicKey: KeyObject): PublicJwk {
  const jwk = publicKey.export({ format: "jwk" });
  const members = REQUIRED_MEMBERS[jwk.kty ?? ""] ?? [];
  return Object.fromEntries(members.map((name) => [name, String(jwk[name])]));
}

/** The public half as it is published (RFC 7517 section 4). */
export function publicJwk({ kid, alg, publicKey }: VerifyingKey): PublicJwk {
  return { ...toPublicJwk(publicKey), kid, alg, use: "sig" };
}

/** The thumbprint of a public key (RFC 7638 section 3). */
export function thumbprint(jwk: PublicJwk): string {
  const members = REQUIRED_MEMBERS[jwk.kty ?? ""] ?? [];
  const canonical = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])));
  return createHash("sha256").update(canonical).digest("base64url");
}
