import { createPublicKey, createSecretKey, type JsonWebKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { thumbprint } from "../src/auth/signing-key.ts";
import { hasSignature, type VerifyingKey } from "../src/token/strict-jwt.ts";
import { findProgram, run, skipSince, skipWithout } from "./support/programs.ts";
import { RFC_7515, RFC_7638 } from "./support/rfc-vectors.ts";

const WYCHEPROOF = "github.com/C2SP/wycheproof@v0.0.0-20250901140545-b51abcfb8daf";
const OURS = ["ES256", "RS256", "PS256", "HS256"];

/** Vectors whose verdict is not ours, and why: none of them is taken that ought to be refused. */
const OTHERWISE: Readonly<Record<string, string>> = {
  259: "no claims are empty",
  272: "no claims are empty",
  346: "it names another algorithm than its key does",
  350: "it names another algorithm than its key does",
  367: "it is, byte for byte, a vector that is valid",
  370: "it is, byte for byte, a vector that is valid",
  372: "its header holds a character that base64url has not",
  373: "its payload holds a character that base64url has not",
};

/** A group of Wycheproof's vectors, all for one key. */
interface Group {
  readonly public?: Jwk;
  readonly private: Jwk;
  readonly tests: readonly { readonly tcId: number; readonly jws: unknown; readonly result: string; comment: string }[];
}

type Jwk = JsonWebKey & { readonly alg?: string };

describe("RFC 7638", () => {
  it("gives the thumbprint of section 3.1", () => {
    expect(thumbprint(RFC_7638.jwk)).to.equal(RFC_7638.thumbprint);
    expect(thumbprint({ use: "sig", ...RFC_7638.jwk, kid: "another" })).to.equal(RFC_7638.thumbprint);
  });
});

describe("a signature of RFC 7515", () => {
  for (const [name, { jwk, jws }] of Object.entries(RFC_7515)) {
    it(`of ${name} is good, and no other that it is changed into`, () => {
      const key = toKey(jwk);
      expect(hasSignature(jws, key)).to.equal(true);
      const [head = "", body = "", signature = ""] = jws.split(".");
      expect(hasSignature(`${head}.${body.replace(/^e/, "f")}.${signature}`, key)).to.equal(false);
      expect(
        hasSignature(`${head}.${body}.${signature.replace(/^./, (first) => (first === "A" ? "B" : "A"))}`, key),
      ).to.equal(false);
      expect(hasSignature(`${head}.${body}.`, key)).to.equal(false);
      for (const other of Object.values(RFC_7515).filter(({ jwk: { alg } }) => alg !== jwk.alg))
        expect(hasSignature(jws, toKey(other.jwk)), other.jwk.alg).to.equal(false);
    });
  }

  it("is not there in appendix A.5", () => {
    const unsecured = `eyJhbGciOiJub25lIn0.${RFC_7515["appendix A.1"].jws.split(".")[1]}.`;
    for (const { jwk } of Object.values(RFC_7515)) expect(hasSignature(unsecured, toKey(jwk))).to.equal(false);
  });
});

describe("Wycheproof's JSON Web Signatures", () => {
  let groups: readonly Group[];
  before(async function () {
    const go = findProgram("go");
    if (!go) return skipWithout(this, "Go, which fetches them,");
    const { stdout } = await run(go, ["mod", "download", "-json", WYCHEPROOF]);
    const { Dir: folder } = JSON.parse(stdout || "{}");
    if (!folder) return skipSince(this, "Go's module proxy does not have Wycheproof's vectors");
    const file = join(folder, "testvectors_v1/json_web_signature_test.json");
    groups = JSON.parse(readFileSync(file, "utf8")).testGroups;
  });

  it("are taken when they are valid and refused when they are not", () => {
    const ours = groups.filter((group) => OURS.includes(jwkOf(group).alg ?? ""));
    const wrong: string[] = [];
    let checked = 0;
    for (const group of ours) {
      for (const { tcId, jws, result, comment } of group.tests) {
        const taken = typeof jws === "string" && hasSignature(jws, toKey(jwkOf(group)));
        const isWrong = taken !== (result === "valid");
        if (isWrong !== Object.hasOwn(OTHERWISE, tcId)) wrong.push(`${tcId} ${comment}: ${result}, taken: ${taken}`);
        checked += 1;
      }
    }
    expect(wrong).to.deep.equal([]);
    expect(checked).to.be.above(350);
  });
});

const jwkOf = (group: Group): Jwk => group.public ?? group.private;

function toKey(jwk: Jwk): VerifyingKey {
  const publicKey =
    jwk.kty === "oct"
      ? createSecretKey(Buffer.from(jwk.k ?? "", "base64url"))
      : createPublicKey({ key: jwk, format: "jwk" });
  return { alg: jwk.alg as VerifyingKey["alg"], publicKey };
}
