import { createPublicKey, type KeyObject } from "node:crypto";
import type { SigningKey } from "../../src/auth/signing-key.ts";
import type { AccessClaims } from "../../src/token/strict-jwt.ts";
import { derSigner, hs256, joinJws, ownKey, SIGNERS } from "./jwt-signers.ts";

/** What a forger has to work with: a token that is good, the key that it was signed with, and a server of their own. */
export interface Forger {
  readonly key: SigningKey;
  readonly claims: AccessClaims;
  /** Seconds since 1970. */
  readonly now: number;
  /** Where the forger serves keys. */
  readonly url: string;
}

/** Two tokens that must be taken, and those that must not: each is good but for one thing. */
export function forgedTokens(forger: Forger) {
  const { fair, withClaims } = forge(forger);
  return {
    fair,
    early: withClaims({ iat: forger.now + 2 }),
    forged: {
      ...{ ...otherKeys(forger), ...otherAlgorithms(forger), ...otherHeaders(forger) },
      ...{ ...otherClaims(forger), ...otherSpellings(forger) },
    },
  };
}

type Forgeries = Record<string, string>;

/** Ways to change a token, which is signed afterwards. */
function forge({ key, claims }: Forger) {
  const header = { alg: key.alg, typ: "at+jwt", kid: key.kid };
  const sign = SIGNERS[key.alg](key.privateKey);
  const withText = (head: string, body: string) => joinJws(head, body, sign);
  const withHeader = (changes: object, by = sign) => joinJws(json({ ...header, ...changes }), json(claims), by);
  const withClaims = (changes: object) => withText(json(header), json({ ...claims, ...changes }));
  return { header: json(header), fair: withHeader({}), withText, withHeader, withClaims };
}

function otherKeys(forger: Forger): Forgeries {
  const { withHeader } = forge(forger);
  const { url, key } = forger;
  const own = ownKey(key.alg);
  const jwk = publicHalf(own).export({ format: "jwk" });
  const byOwn = SIGNERS[key.alg](own);
  return {
    ...forEach("unsigned with alg", ["none", "None", key.alg, undefined], (alg) => withHeader({ alg }, () => "")),
    "a key of one's own": withHeader({}, byOwn),
    "an embedded key": withHeader({ jwk, kid: "own" }, byOwn),
    "an embedded key under the right kid": withHeader({ jwk }, byOwn),
    "a jku": withHeader({ jku: `${url}/jwks.json`, kid: "own" }, byOwn),
    "a jku and the right key": withHeader({ jku: `${url}/jwks.json` }),
    "an x5u": withHeader({ x5u: `${url}/cert.pem` }, byOwn),
    "an x5u and the right key": withHeader({ x5u: `${url}/cert.pem` }),
    "an x5c": withHeader({ x5c: ["MIIB"] }, byOwn),
  };
}

/** Signatures that the same key makes by another algorithm, which the header names or does not. */
function otherAlgorithms(forger: Forger): Forgeries {
  const { withHeader } = forge(forger);
  const { alg, privateKey, publicKey } = forger.key;
  const others = RELATED[alg].flatMap((other) => {
    const sign = SIGNERS[other](privateKey);
    return [
      [`${other} that says so`, withHeader({ alg: other }, sign)],
      [`${other} that says ${alg}`, withHeader({}, sign)],
      [`${alg} that says ${other}`, withHeader({ alg: other })],
    ];
  });
  const asSecret = alg === "HS256" ? [] : Object.entries(encodings(publicKey));
  const symmetric = asSecret.flatMap(([form, secret]) =>
    ["HS256", alg].flatMap((said) =>
      [forger.key.kid, "hs256"].map((kid) => [
        `HS256 with the public key as ${form}, alg ${said}, kid ${kid}`,
        withHeader({ alg: said, kid }, hs256(secret)),
      ]),
    ),
  );
  return Object.fromEntries([...others, ...symmetric]);
}

const RELATED = {
  ES256: [],
  RS256: ["PS256", "RS384", "PS384"],
  PS256: ["RS256", "RS384", "PS384"],
  HS256: ["HS384"],
} as const satisfies Record<string, readonly (keyof typeof SIGNERS)[]>;

function otherHeaders(forger: Forger): Forgeries {
  const { withHeader, withText, header } = forge(forger);
  const { alg, kid } = forger.key;
  const named = ["ES256", "RS256", "PS256", "HS256"].filter((name) => name !== alg);
  const algs = ["none", "None", "NONE", `${alg} `, alg.toLowerCase(), [alg], null, undefined, "", ...named];
  const kids = [
    "../../../../dev/null",
    "' OR '1'='1",
    "__proto__",
    "constructor",
    "",
    kid === "hs256" ? "HS256" : "hs256",
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
  const bytes = Buffer.from(signature, "base64url");
  return {
    "padding of the signature": `${fair}==`,
    "padding of the claims": `${head}.${body}=.${signature}`,
    "a last character that stands for the same bytes": `${head}.${body}.${respelled(signature)}`,
    "a signature in standard base64": `${head}.${body}.${bytes.toString("base64")}`,
    ...(forger.key.alg === "ES256" && {
      "a signature in DER": forge(forger).withHeader({}, derSigner(forger.key.privateKey)),
    }),
    "a signature of zeros": `${head}.${body}.${Buffer.alloc(bytes.length).toString("base64url")}`,
    "a signature with a zero before it": `${head}.${body}.${Buffer.concat([Buffer.of(0), bytes]).toString("base64url")}`,
    "half a signature": `${head}.${body}.${bytes.subarray(bytes.length / 2).toString("base64url")}`,
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

function publicHalf(key: KeyObject): KeyObject {
  return key.type === "secret" ? key : createPublicKey(key);
}

function encodings(key: KeyObject): Record<string, string | Buffer> {
  const pem = key.export({ format: "pem", type: "spki" }).toString();
  const jwk = key.export({ format: "jwk" });
  return {
    PEM: pem,
    "PEM without the last line break": pem.trim(),
    DER: key.export({ format: "der", type: "spki" }),
    "a JWK": JSON.stringify(jwk),
    "its numbers": Buffer.concat([jwk.x, jwk.y, jwk.n].map((part) => Buffer.from(part ?? "", "base64url"))),
  };
}

/** The same bytes in another spelling: the last character of each kind of signature carries bits that mean nothing. */
function respelled(signature: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return signature.slice(0, -1) + alphabet[alphabet.indexOf(signature.slice(-1)) + 1];
}
