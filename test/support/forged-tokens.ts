import { createHmac, generateKeyPairSync, type KeyObject, sign as signWith } from "node:crypto";
import type { SigningKey } from "../../src/auth/signing-key.ts";
import type { AccessClaims } from "../../src/token/strict-jwt.ts";

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

/** Two tokens that must be taken, and those that must not: each is good but for one thing. */
export function forgedTokens(forger: Forger) {
  const { fair, withClaims } = forge(forger);
  return {
    fair,
    early: withClaims({ iat: forger.now + 2 }),
    forged: { ...otherKeys(forger), ...otherHeaders(forger), ...otherClaims(forger), ...otherSpellings(forger) },
  };
}

type Forgeries = Record<string, string>;

/** Ways to change a token, which is signed afterwards. */
function forge({ key, claims }: Forger) {
  const header = { alg: key.alg, typ: "at+jwt", kid: key.kid };
  const sign = es256(key.privateKey);
  const withText = (head: string, body: string) => join(head, body, sign);
  const withHeader = (changes: object, by = sign) => join(json({ ...header, ...changes }), json(claims), by);
  const withClaims = (changes: object) => withText(json(header), json({ ...claims, ...changes }));
  return { header: json(header), fair: withHeader({}), withText, withHeader, withClaims };
}

function otherKeys(forger: Forger): Forgeries {
  const { withHeader } = forge(forger);
  const { url } = forger;
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = own.publicKey.export({ format: "jwk" });
  const byOwn = es256(own.privateKey);
  const publicKeys = encodings(forger.key.publicKey);
  return {
    ...forEach("unsigned with alg", ["none", "None", "ES256", undefined], (alg) => withHeader({ alg }, () => "")),
    ...forEach("HS256 with the public key as", Object.keys(publicKeys), (name) =>
      withHeader({ alg: "HS256" }, hs256(publicKeys[name] ?? "")),
    ),
    "a key of one's own": withHeader({}, byOwn),
    "an embedded key": withHeader({ jwk, kid: "own" }, byOwn),
    "an embedded key under the right kid": withHeader({ jwk }, byOwn),
    "a jku": withHeader({ jku: `${url}/jwks.json`, kid: "own" }, byOwn),
    "a jku and the right key": withHeader({ jku: `${url}/jwks.json` }),
    "an x5u": withHeader({ x5u: `${url}/cert.pem` }, byOwn),
    "an x5c": withHeader({ x5c: ["MIIB"] }, byOwn),
  };
}

function otherHeaders(forger: Forger): Forgeries {
  const { withHeader, withText, header } = forge(forger);
  const algs = ["none", "None", "NONE", "ES256 ", ["ES256"], null, undefined, "", "HS256", "RS256"];
  const { kid } = forger.key;
  const kids = [
    "../../../../dev/null",
    "' OR '1'='1",
    "__proto__",
    "constructor",
    "",
    "hs256",
    1,
    null,
    undefined,
    [kid],
  ];
  return {
    ...forEach("alg", algs, (alg) => withHeader({ alg })),
    ...forEach("kid", kids, (kid) => withHeader({ kid })),
    "a kid of 5 KB": withHeader({ kid: "k".repeat(5_000) }),
    ...forEach("typ", ["JWT", "AT+JWT", "application/at+jwt", "at+jwt ", undefined, null], (typ) =>
      withHeader({ typ }),
    ),
    "an unknown crit": withHeader({ crit: ["x"], x: 1 }),
    "an empty crit": withHeader({ crit: [] }),
    "b64: false": withHeader({ b64: false, crit: ["b64"] }),
    "a content type": withHeader({ cty: "JWT" }),
    "alg twice": withText(header.replace("{", '{"alg":"none",'), json(forger.claims)),
    "white space in the header": withText(JSON.stringify(JSON.parse(header), null, 1), json(forger.claims)),
  };
}

function otherClaims(forger: Forger): Forgeries {
  const { withClaims, withText, header } = forge(forger);
  const { claims, now } = forger;
  const { iss, aud, sid, iat, exp } = claims;
  const values: Record<string, readonly unknown[]> = {
    iss: ["https://evil.example", undefined, "", [iss]],
    aud: ["another", undefined, "", [aud], [aud, "x"]],
    exp: [undefined, null, String(exp), now, now - 1, -1, exp + 0.5, 2 ** 53],
    iat: [undefined, String(iat), now + 60, exp],
    sub: [undefined, "", "0", "-1", "1e3", "01", 1, ["1"], "' OR 1=1", "9".repeat(30)],
    sid: [undefined, "", "x", sid.toUpperCase(), [sid]],
    jti: [undefined, "", 1],
    roles: [undefined, "admin", [1], { admin: true }],
    username: [undefined, 1, null],
    admin: [true],
    nbf: [now - 60],
  };
  const forgeries = Object.entries(values).map(([name, list]) =>
    forEach(name, list, (value) => withClaims({ [name]: value })),
  );
  const text = json(claims);
  return {
    ...Object.assign({}, ...forgeries),
    "exp of 1e999": withText(header, text.replace(/"exp":\d+/, '"exp":1e999')),
    "sub twice": withText(header, text.replace("{", '{"sub":"1",')),
    "__proto__ among the claims": withText(header, text.replace("{", '{"__proto__":{"admin":true},')),
    "white space in the claims": withText(header, `${text} `),
    ...forEach("claims of", ["[]", "null", "hello", "1", ""], (other) => withText(header, other)),
  };
}

function otherSpellings(forger: Forger): Forgeries {
  const { fair } = forge(forger);
  const [head = "", body = "", signature = ""] = fair.split(".");
  return {
    "padding of the signature": `${fair}==`,
    "padding of the claims": `${head}.${body}=.${signature}`,
    "a last character that stands for the same bytes": `${head}.${body}.${respelled(signature)}`,
    "a signature in standard base64": `${head}.${body}.${Buffer.from(signature, "base64url").toString("base64")}`,
    "a signature in DER": `${head}.${body}.${der(forger.key.privateKey, `${head}.${body}`)}`,
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
