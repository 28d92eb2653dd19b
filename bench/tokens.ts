import { randomUUID, verify } from "node:crypto";
import { createAccessTokens } from "../src/auth/access-token.ts";
import type { SigningKeys } from "../src/auth/signing-keys.ts";
import { createClock } from "../src/clock.ts";
import type { Config } from "../src/config.ts";

const HOUR = 3_600_000;

/** Makes tokens as the service does, each of a session of its own. */
export function createMint(keys: SigningKeys, { jwtIssuer: issuer, jwtAudience: audience }: Config) {
  const accessTokens = createAccessTokens(keys, { issuer, audience }, createClock());
  return (count: number): string[] =>
    Array.from({ length: count }, () => {
      const issuedAt = new Date();
      const end = new Date(issuedAt.getTime() + HOUR);
      const grant = { sessionId: randomUUID(), userId: 12_345, username: "ada.lovelace", roles: ["reader", "editor"] };
      const ends = { accessExpiresAt: end, refreshExpiresAt: end };
      return accessTokens.mint({ ...grant, ...ends, refreshCounter: 0n, issuedAt }).token;
    });
}

/** A token taken apart: what was signed, and the signature as a JWT has it and as OpenSSL keeps it. */
export interface RawSignature {
  readonly signed: Buffer;
  readonly jose: Buffer;
  readonly der: Buffer;
}

/** Takes a token apart. */
export function rawSignature(token: string): RawSignature {
  const end = token.lastIndexOf(".");
  const jose = Buffer.from(token.slice(end + 1), "base64url");
  const integers = Buffer.concat([derInteger(jose.subarray(0, 32)), derInteger(jose.subarray(32))]);
  const der = Buffer.concat([Buffer.of(0x30, integers.length), integers]);
  return { signed: Buffer.from(token.slice(0, end)), jose, der };
}

/**
 * Checks nothing but the signature: what every verifier of ES256 has to do. Node takes the form that a JWT has, and is
 * a good deal faster with the other; to get from one to the other is not counted.
 */
export function rawVerifiers(keys: SigningKeys): Readonly<Record<"jose" | "der", (raw: RawSignature) => boolean>> {
  const { publicKey } = keys.current();
  const key = { key: publicKey, dsaEncoding: "ieee-p1363" as const };
  return {
    jose: ({ signed, jose }) => verify("sha256", signed, key, jose),
    der: ({ signed, der }) => verify("sha256", signed, publicKey, der),
  };
}

function derInteger(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = bytes.subarray(start);
  // A sign bit would make it negative.
  const padding = (digits[0] ?? 0) > 127 ? [0] : [];
  return Buffer.concat([Buffer.of(2, digits.length + padding.length, ...padding), digits]);
}
