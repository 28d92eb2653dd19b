import type { KeyObject } from "node:crypto";
import jwt from "jsonwebtoken";

/** What an access token says (RFC 9068 section 2.2, with our `sid`, `username` and `roles`); times in seconds since 1970. */
export interface AccessClaims {
  readonly iss: string;
  readonly aud: string;
  /** User id in decimal. */
  readonly sub: string;
  /** Session id, a UUID. */
  readonly sid: string;
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
  readonly username: string;
  readonly roles: readonly string[];
}

/** A key and the one algorithm that it is used with. */
export interface VerifyingKey {
  readonly alg: "ES256" | "RS256" | "PS256" | "HS256";
  readonly publicKey: KeyObject;
}

/** Who may have signed a token, and whom it must be from and for. */
export interface Expectation {
  /** The key of a `kid` that is accepted now. */
  readonly findKey: (kid: string) => VerifyingKey | undefined;
  readonly issuer: string;
  readonly audience: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** How far the signer's clock may be ahead, in seconds. */
  readonly leeway: number;
}

// Beyond what the longest issuer, username and roles that we write make; bounds the work for junk.
const MAX_LENGTH = 8192;
const HEADER = ["alg", "kid", "typ"];
const CLAIMS = ["aud", "exp", "iat", "iss", "jti", "roles", "sid", "sub", "username"];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Checks an access token in every respect (RFC 8725, RFC 9068 section 4) and gives its claims, or null. The library is
 * asked for the signature only: alone it accepts any `typ`, a missing `exp`, unknown `crit`, duplicate members and more.
 */
export function verifyAccessToken(token: string, expectation: Expectation): AccessClaims | null {
  return verifySigned(token, expectation, (claims) => isDirected(claims, expectation));
}

/** The claims of a token that is good but for whom it is from or for, and therefore is not. */
export function findMisdirected(token: string, expectation: Expectation): AccessClaims | null {
  return verifySigned(token, expectation, (claims) => !isDirected(claims, expectation));
}

function verifySigned(
  token: string,
  expectation: Expectation,
  isWanted: (claims: AccessClaims) => boolean,
): AccessClaims | null {
  if (token.length > MAX_LENGTH || !/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token)) return null;
  const [head = "", body = ""] = token.split(".");
  const header = parseSegment(head, HEADER);
  const claims = parseSegment(body, CLAIMS);
  if (!header || !claims || !isAccessClaims(claims)) return null;
  if (!isWanted(claims) || !isInTime(claims, expectation)) return null;
  if (header.typ !== "at+jwt" || typeof header.kid !== "string" || typeof header.alg !== "string") return null;
  // The last question: for a name that is not known the keys may be fetched anew.
  const key = expectation.findKey(header.kid);
  return key?.alg === header.alg && hasSignature(token, key) ? claims : null;
}

// That each segment is what JSON.stringify makes of what it says refuses duplicates, white space and 1e999 at once.
function parseSegment(segment: string, members: readonly string[]): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    if (Buffer.from(JSON.stringify(value)).toString("base64url") !== segment) return null;
    const names = Object.keys(value).sort();
    return names.length === members.length && names.every((name, index) => name === members[index])
      ? { ...value }
      : null;
  } catch {
    return null;
  }
}

function isCanonical(segment: string): boolean {
  return Buffer.from(segment, "base64url").toString("base64url") === segment;
}

function isAccessClaims(claims: object): claims is AccessClaims {
  const { iss, aud, sub, sid, jti, iat, exp, username, roles } = claims as Record<string, unknown>;
  const areTexts = [iss, aud, sub, sid, jti, username].every((claim) => typeof claim === "string");
  const areTimes = [iat, exp].every((claim) => Number.isSafeInteger(claim));
  const areRoles = Array.isArray(roles) && roles.every((role) => typeof role === "string");
  return (
    areTexts && areTimes && areRoles && /^[1-9]\d{0,15}$/.test(String(sub)) && UUID.test(String(sid)) && jti !== ""
  );
}

function isDirected({ iss, aud }: AccessClaims, { issuer, audience }: Expectation): boolean {
  return iss === issuer && aud === audience;
}

function isInTime({ iat, exp }: AccessClaims, { now, leeway }: Expectation): boolean {
  const seconds = now / 1000;
  return exp > seconds && iat <= seconds + leeway && iat < exp;
}

/** Whether a compact JWS, spelled in the one canonical way, was signed with this key by its one algorithm (RFC 7515 section 5.2). */
export function hasSignature(token: string, { alg, publicKey }: VerifyingKey): boolean {
  if (!token.split(".").every(isCanonical)) return false;
  try {
    jwt.verify(token, publicKey, { algorithms: [alg], ignoreExpiration: true, ignoreNotBefore: true });
    return true;
  } catch {
    return false;
  }
}
