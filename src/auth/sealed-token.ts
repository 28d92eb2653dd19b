import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import type { Purpose } from "../db/secret-tokens.ts";

/** What a genuine refresh token names. */
export interface RefreshTokenContent {
  readonly sessionId: string;
  readonly counter: bigint;
}

const VERSION = 1;
const HMAC_BYTES = 32;
const UUID_BYTES = 16;
const REFRESH_BYTES = 1 + UUID_BYTES + 8;
const CODE_DIGITS = 6;

/**
 * Makes and checks the tokens that nothing is kept of: version, session and counter of a refresh token, or the id of a
 * mailed one, and an HMAC-SHA-256 over them, in base64url.
 */
export function createSealedTokens(secrets: { readonly refreshToken: Buffer; readonly secretToken: Buffer }) {
  // Made once: Node takes five times as long over a key that it is given as bytes.
  const keys = { refresh: createSecretKey(secrets.refreshToken), secret: createSecretKey(secrets.secretToken) };
  const mac = (key: KeyObject, context: string, body: Buffer) =>
    createHmac("sha256", key).update(`${context}\0`).update(body).digest();
  const seal = (key: KeyObject, context: string, body: Buffer) =>
    Buffer.concat([body, mac(key, context, body)]).toString("base64url");
  const open = (key: KeyObject, context: string, token: string, bytes: number): Buffer | null => {
    if (token.length !== Math.ceil(((bytes + HMAC_BYTES) * 4) / 3)) return null;
    const raw = Buffer.from(token, "base64url");
    // Node's decoder is lenient: of the spellings of one token only the canonical one counts.
    if (raw.length !== bytes + HMAC_BYTES || raw.toString("base64url") !== token) return null;
    const body = raw.subarray(0, bytes);
    return timingSafeEqual(raw.subarray(bytes), mac(key, context, body)) ? body : null;
  };

  return {
    /** The refresh token of a session at a counter: always the same one. */
    sealRefresh({ sessionId, counter }: RefreshTokenContent): string {
      const body = Buffer.alloc(REFRESH_BYTES);
      body[0] = VERSION;
      toBytes(sessionId).copy(body, 1);
      body.writeBigInt64BE(counter, 1 + UUID_BYTES);
      return seal(keys.refresh, "refresh", body);
    },

    /** Null for anything that this service did not make. */
    openRefresh(token: string): RefreshTokenContent | null {
      const body = open(keys.refresh, "refresh", token, REFRESH_BYTES);
      if (body?.[0] !== VERSION) return null;
      return { sessionId: toUuid(body.subarray(1, 1 + UUID_BYTES)), counter: body.readBigInt64BE(1 + UUID_BYTES) };
    },

    /** The token to mail for a row of `secret_tokens`. */
    sealSecret: (id: string, purpose: Purpose): string => seal(keys.secret, purpose, toBytes(id)),

    /** The id of the row, or null for a token that was not made for this purpose. */
    openSecret(token: string, purpose: Purpose): string | null {
      const body = open(keys.secret, purpose, token, UUID_BYTES);
      return body && toUuid(body);
    },

    /** The 6 digits to mail beside a token. */
    secretCode(id: string): string {
      const number = mac(keys.secret, "code", toBytes(id)).readBigUInt64BE() % 10n ** BigInt(CODE_DIGITS);
      return number.toString().padStart(CODE_DIGITS, "0");
    },
  };
}

/** See createSealedTokens. */
export type SealedTokens = ReturnType<typeof createSealedTokens>;

function toBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

function toUuid(bytes: Buffer): string {
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
