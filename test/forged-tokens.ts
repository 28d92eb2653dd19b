import { createHmac, generateKeyPairSync, type KeyObject, sign as signWith } from "node:crypto";
import type { SigningKey } from "../src/auth/keys.ts";
import type { AccessClaims } from "../src/token/strict-jwt.ts";

/** What a forger has to work with: a token that is good, the key that it was signed with, and a server of their own. */
export interface Forger {
  readonly key: SigningKey;
  readonly claims: AccessClaims;
  /** Seconds since 1970. */
  readonly now: number;
  /** Where the forger serves keys. */
  readonly url: string;
}

type Sign = (input: string) => string;

/** Tokens that are good but for one thing; `fair` forges nothing, for a token that must be taken. */
export function forgedTokens({ key, claims, now, url }: Forger) {
  const header = { alg: key.alg, typ: "at+jwt", kid: key.kid };
  const sign = es256(key.privateKey);
  const withHeader = (changes: object, by = sign) => join(json({ ...header, ...changes }), json(claims), by);
  const withClaims = (changes: object) => join(json(header), json({ ...claims, ...changes }), sign);
  const withText = (head: string, body: string) => join(head, body, sign);
  const fair = withHeader({});
  const none = () => "";
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = own.publicKey.export({ format: "jwk" });
  const byOwn = es256(own.privateKey);
  const [head = "", body = "", signature = ""] = fair.split(".");

  return {
    fair,
    early: withClaims({ iat: now + 2 }),
    forged: {
      ...forEach("alg", ["none", "None", "NONE", "ES256 ", ["ES256"], null, undefined, "", "HS256", "RS256"], (alg) =>
        withHeader({ alg }),
      ),
      ...forEach("unsigned with alg", ["none", "None", "ES256", undefined], (alg) => withHeader({ alg }, none)),
      ...forEach("HS256 with the public key as", Object.keys(encodings(key.publicKey)), (name) =>
        withHeader({ alg: "HS256" }, hs256(encodings(key.publicKey)[name] ?? "")),
      ),
      "a key of one's own": withHeader({}, byOwn),
      "an embedded key": withHeader({ jwk, kid: "own" }, byOwn),
      "an embedded key under the right kid": withHeader({ jwk }, byOwn),
      "a jku": withHeader({ jku: `${url}/jwks.json`, kid: "own" }, byOwn),
      "an x5u": withHeader({ x5u: `${url}/cert.pem` }, byOwn),
      "an x5c": withHeader({ x5c: ["MIIB"] }, byOwn),
      ...forEach(
        "kid",
        ["../../../../dev/null", "' OR '1'='1", "__proto__", "constructor", "", "hs256", 1, null, undefined, [key.kid]],
        (kid) => withHeader({ kid }),
      ),
      "a kid of 5 KB": withHeader({ kid: "k".repeat(5_000) }),
      ...forEach("typ", ["JWT", "AT+JWT", "application/at+jwt", "at+jwt ", undefined, null], (typ) =>
        withHeader({ typ }),
      ),
      "an unknown crit": withHeader({ crit: ["x"], x: 1 }),
      "an empty crit": withHeader({ crit: [] }),
      "b64: false": withHeader({ b64: false, crit: ["b64"] }),
      "a content type": withHeader({ cty: "JWT" }),
      ...forEach("iss", ["https://evil.example", undefined, "", [claims.iss]], (iss) => withClaims({ iss })),
      ...forEach("aud", ["another", undefined, "", [claims.aud], [claims.aud, "x"]], (aud) => withClaims({ aud })),
      ...forEach("exp", [undefined, null, String(claims.exp), now, now - 1, -1, claims.exp + 0.5, 2 ** 53], (exp) =>
        withClaims({ exp }),
      ),
      "exp of 1e999": withText(json(header), json(claims).replace(/"exp":\d+/, '"exp":1e999')),
      ...forEach("iat", [undefined, String(claims.iat), now + 60, claims.exp], (iat) => withClaims({ iat })),
      ...forEach("sub", [undefined, "", "0", "-1", "1e3", "01", 1, ["1"], "' OR 1=1", "9".repeat(30)], (sub) =>
        withClaims({ sub }),
      ),
      ...forEach("sid", [undefined, "", "x", claims.sid.toUpperCase(), [claims.sid]], (sid) => withClaims({ sid })),
      ...forEach("jti", [undefined, "", 1], (jti) => withClaims({ jti })),
      ...forEach("roles", [undefined, "admin", [1], { admin: true }], (roles) => withClaims({ roles })),
      ...forEach("username", [undefined, 1, null], (username) => withClaims({ username })),
      "one claim more": withClaims({ admin: true }),
      nbf: withClaims({ nbf: now - 60 }),
      "alg twice": withText(json(header).replace("{", '{"alg":"none",'), json(claims)),
      "sub twice": withText(json(header), json(claims).replace("{", '{"sub":"1",')),
      "__proto__ among the claims": withText(json(header), json(claims).replace("{", '{"__proto__":{"admin":true},')),
      "white space in the header": withText(JSON.stringify(header, null, 1), json(claims)),
      "white space in the claims": withText(json(header), `${json(claims)} `),
      "claims that are a list": withText(json(header), "[]"),
      "claims that are null": withText(json(header), "null"),
      "claims that are no JSON": withText(json(header), "hello"),
      "padding of the signature": `${fair}==`,
      "padding of the claims": `${head}.${body}=.${signature}`,
      "a last character that stands for the same bytes": `${head}.${body}.${respelled(signature)}`,
      "a signature in standard base64": `${head}.${body}.${toBase64(signature)}`,
      "a signature in DER": `${head}.${body}.${der(key.privateKey, `${head}.${body}`)}`,
      "a signature of zeros": `${head}.${body}.${Buffer.alloc(64).toString("base64url")}`,
      "half a signature": `${head}.${body}.${signature.slice(0, 43)}`,
      "no signature": `${head}.${body}.`,
      "two parts": `${head}.${body}`,
      "four parts": `${fair}.${signature}`,
      "an empty header": `.${body}.${signature}`,
      "a dot": ".",
      "quotation marks": `"${fair}"`,
      "a comma and another": `${fair},${fair}`,
      "a tab in it": `${head}.\t${body}.${signature}`,
    } as Record<string, string>,
  };
}

function forEach<T>(what: string, values: readonly T[], forge: (value: T) => string): Record<string, string> {
  return Object.fromEntries(
    values.map((value) => [`${what} ${JSON.stringify(value) ?? "absent"}`.slice(0, 60), forge(value)]),
  );
}

const json = (value: object) => JSON.stringify(value);

function join(header: string, claims: string, sign: Sign): string {
  const input = [header, claims].map((part) => Buffer.from(part).toString("base64url")).join(".");
  return `${input}.${sign(input)}`;
}

function es256(key: KeyObject): Sign {
  return (input) => signWith("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
}

function der(key: KeyObject, input: string): string {
  return signWith("sha256", Buffer.from(input), { key, dsaEncoding: "der" }).toString("base64url");
}

function hs256(secret: string | Buffer): Sign {
  return (input) => createHmac("sha256", secret).update(input).digest("base64url");
}

function encodings(key: KeyObject): Record<string, string | Buffer> {
  const pem = key.export({ format: "pem", type: "spki" }).toString();
  const jwk = key.export({ format: "jwk" });
  return {
    PEM: pem,
    "PEM without the last line break": pem.trim(),
    DER: key.export({ format: "der", type: "spki" }),
    "a JWK": JSON.stringify(jwk),
    "its coordinates": Buffer.concat([jwk.x, jwk.y].map((part) => Buffer.from(part ?? "", "base64url"))),
  };
}

/** The same bytes in another spelling: the last of 86 characters carries four bits that mean nothing. */
function respelled(signature: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return signature.slice(0, -1) + alphabet[alphabet.indexOf(signature.slice(-1)) + 1];
}

function toBase64(signature: string): string {
  return Buffer.from(signature, "base64url").toString("base64");
}
