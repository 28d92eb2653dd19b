import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";
import { signIn, signUpConfirmed } from "./support/people.ts";
import { findProgram, findPython, type Outcome, run, skipSince, skipWithout } from "./support/programs.ts";
import { startService, type TestService } from "./support/service.ts";
import { claimsOf } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const ALGORITHMS = ["ES256", "RS256", "PS256"] as const;
const ISSUER = "http://localhost:8080";
const AUDIENCE = "latchkey";
const GOLANG_JWT = "github.com/golang-jwt/jwt/v5 v5.3.1";

/** What a library makes of each of some tokens: what it says, or any other word for why it is refused. */
type Check = (jwksUrl: string, tokens: readonly string[]) => Promise<unknown[]>;

/** A library that nobody here wrote, and how to get at it; null where it is not to be had. */
const LIBRARIES: Readonly<Record<string, (context: Mocha.Context, folder: string) => Promise<Check>>> = {
  jose: async () => checkByJose,
  "Python's PyJWT": prepareByPython,
  "Go's golang-jwt": prepareByGo,
};

describe("from the JWK Set alone, an access token is checked by", () => {
  const services = new Map<string, TestService>();
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "latchkey-jwt-"));
    for (const jwtAlgorithm of ALGORITHMS) services.set(jwtAlgorithm, await startService({ config: { jwtAlgorithm } }));
  });
  after(async () => {
    for (const service of services.values()) await service.stop();
    rmSync(folder, { recursive: true });
  });

  for (const [name, prepare] of Object.entries(LIBRARIES)) {
    describe(name, () => {
      let check: Check;
      before(async function () {
        this.timeout(300_000);
        check = await prepare(this, folder);
      });

      for (const [alg, other] of [
        ["ES256", "RS256"],
        ["RS256", "PS256"],
        ["PS256", "ES256"],
      ] as const) {
        it(`when ${alg} signs it, by an old key and by its successor, and is refused when anything is changed`, async () => {
          const [service, stranger] = [services.get(alg), services.get(other)];
          if (!service || !stranger) throw new Error(`there is no service for ${alg} and ${other}`);
          const person = await signUpConfirmed(service);
          const { accessToken: old } = await signIn(service, person);
          await service.app.signingKeys.rotate({ atOnce: true });
          let fresh = old;
          await waitUntil(async () => {
            fresh = (await signIn(service, person)).accessToken;
            return headerOf(fresh).kid !== headerOf(old).kid;
          });
          const { accessToken: foreign } = await signIn(stranger, await signUpConfirmed(stranger));
          expect(headerOf(fresh)).to.include({ alg, typ: "at+jwt" });
          const [head, , signature] = fresh.split(".");
          const changed = `${head}.${old.split(".")[1]}.${signature}`;
          const unsigned = `${encode({ ...headerOf(fresh), alg: "none" })}.${fresh.split(".")[1]}.`;

          const answers = await check(`${service.httpUrl}/.well-known/jwks.json`, [
            old,
            fresh,
            changed,
            unsigned,
            foreign,
          ]);
          expect(answers.slice(0, 2)).to.deep.equal([old, fresh].map((accessToken) => claimsOf({ accessToken })));
          expect(answers).to.have.length(5);
          for (const answer of answers.slice(2)) expect(answer).to.be.a("string");
        });
      }
    });
  }
});

async function checkByJose(jwksUrl: string, tokens: readonly string[]): Promise<unknown[]> {
  const keys = createRemoteJWKSet(new URL(jwksUrl));
  const options = { issuer: ISSUER, audience: AUDIENCE, typ: "at+jwt", requiredClaims: ["sub", "sid", "jti", "exp"] };
  return Promise.all(
    tokens.map((token) =>
      jwtVerify(token, keys, options).then(
        ({ payload }) => payload,
        (error: unknown) => {
          if (error instanceof errors.JOSEError) return error.code;
          throw error;
        },
      ),
    ),
  );
}

async function prepareByPython(context: Mocha.Context): Promise<Check> {
  const python = await findPython("jwt", "cryptography");
  if (!python) return skipWithout(context, "Python with PyJWT and cryptography");
  const script = join(import.meta.dirname, "python/verify_jwt.py");
  return async (jwksUrl, tokens) => answersOf(await run(python, [script, jwksUrl, ISSUER, AUDIENCE, ...tokens]));
}

async function prepareByGo(context: Mocha.Context, folder: string): Promise<Check> {
  const go = findProgram("go");
  if (!go) return skipWithout(context, "Go");
  copyFileSync(join(import.meta.dirname, "go/verify_jwt.go"), join(folder, "main.go"));
  writeFileSync(join(folder, "go.mod"), `module verify_jwt\n\ngo 1.21\n\nrequire ${GOLANG_JWT}\n`);
  const program = join(folder, "verify_jwt");
  const { code } = await run(go, ["-C", folder, "mod", "tidy"], 60_000);
  if (code !== 0) return skipSince(context, "Go's module proxy cannot be reached");
  const built = await run(go, ["-C", folder, "build", "-o", program, "."], 240_000);
  expect(built.code, built.stderr).to.equal(0);
  return async (jwksUrl, tokens) => answersOf(await run(program, [jwksUrl, ISSUER, AUDIENCE, ...tokens]));
}

function answersOf({ code, stdout, stderr }: Outcome): unknown[] {
  expect(code, stderr).to.equal(0);
  return JSON.parse(stdout);
}

function headerOf(token: string): { readonly alg: string; readonly kid: string } {
  return JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString());
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
