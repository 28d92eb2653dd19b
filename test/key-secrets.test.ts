import { inspect } from "node:util";
import { expect } from "chai";
import type { SigningKey } from "../src/auth/signing-key.ts";
import type { Config } from "../src/config.ts";
import { createSecret } from "../src/secret.ts";
import { signIn, signUpConfirmed } from "./support/people.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { storedSigningKeys } from "./support/signing-keys.ts";
import { waitUntil } from "./support/wait.ts";

const NEW_KEY = "another secret key, as long as the first";
const JWT_SECRET = "a secret for HS256, shared with a backend";
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi"];

describe("key material", () => {
  const services: TestService[] = [];
  const secrets = new Map<string, string>();
  before(async () => {
    for (const [name, value] of Object.entries({ SECRET_KEY, NEW_KEY, JWT_SECRET })) secrets.set(name, value);
    const first = await start({});
    const person = await signUpConfirmed(first);
    const { app, database } = first;
    for (const atOnce of [true, false]) await app.signingKeys.rotate({ atOnce });
    const second = await start({ jwtAlgorithm: "RS256", ...replaced() });
    for (const service of services) note(service.app.signingKeys.current());
    for (const service of services) await signIn(service, person);
    await second.app.signingKeys.rotate({ atOnce: true });
    note(second.app.signingKeys.current());
    // What fails while the table is away names its statement, whose values are keys.
    await database.query("ALTER TABLE keys RENAME TO gone");
    for (const service of services) await service.app.signingKeys.rotate({ atOnce: true }).catch(keep(service));
    for (const service of services) await service.app.signingKeys.reread().catch(keep(service));
    await waitUntil(() => services.every(({ lines }) => lines.some((line) => line.includes("cannot be read"))));
    await database.query("ALTER TABLE gone RENAME TO keys");
    const wrong = { secretKey: createSecret("a third secret key, which opens nothing here") };
    await start(wrong).then(() => expect.fail("it started"), keep(first));
  });
  after(async () => {
    for (const service of services.toReversed()) await service.stop();
  });

  it("is in no line of the log, and in no error", () => {
    expect(secrets.size).to.be.at.least(30);
    const lines = services.flatMap((service) => service.lines);
    expect(lines.join("\n")).to.include("cannot be read").and.include("WrongSecretKey");
    for (const [name, secret] of secrets) {
      expect(secret, name).to.have.length.at.least(16);
      expect(
        lines.filter((line) => line.includes(secret)),
        name,
      ).to.deep.equal([]);
    }
  });

  it("is in no table, but wrapped", async () => {
    const [first] = services;
    const rows = (await first?.database.query<{ row: string }>("SELECT k::text AS row FROM keys k")) ?? [];
    expect(rows).to.have.length.above(5);
    for (const [name, secret] of secrets)
      expect(
        rows.filter(({ row }) => row.includes(secret)),
        name,
      ).to.deep.equal([]);
  });

  it("is published by its public half alone", async () => {
    const [first] = services;
    if (!first) throw new Error("none was started");
    const answer = await fetch(`${first.httpUrl}/.well-known/jwks.json`);
    const { keys } = (await answer.json()) as { keys: Record<string, string>[] };
    const members = { ES256: ["kty", "crv", "x", "y"], RS256: ["kty", "n", "e"] };
    expect(keys.map(({ kid }) => kid)).to.have.members((await storedSigningKeys(first)).map(({ id }) => id));
    for (const { alg = "", ...key } of keys)
      expect(key).to.have.all.keys("kid", "use", ...members[alg as keyof typeof members]);
  });

  it("shows nothing when a process prints what it holds", async () => {
    for (const { app, config } of services) {
      const printed = inspect({ key: app.signingKeys.current(), config }, { depth: 9, showHidden: true });
      for (const [name, secret] of secrets) expect(printed.includes(secret), name).to.equal(false);
    }
  });

  async function start(config: Partial<Config>): Promise<TestService> {
    const [first] = services;
    const shared = first && { database: first.database, clock: first.clock, mails: first.mails };
    const settings = { debug: true, jwtSecret: createSecret(JWT_SECRET), ...config };
    const service = await startService({ ...shared, config: settings });
    services.push(service);
    return service;
  }

  function replaced() {
    return { secretKey: createSecret(NEW_KEY), secretKeyPrevious: [createSecret(SECRET_KEY)] };
  }

  /** Puts an error beside the log, as whoever calls may print it. */
  function keep(service: TestService) {
    return (error: unknown) => void service.lines.push(String(error instanceof Error ? error.stack : error));
  }

  function note({ kid, privateKey }: SigningKey): void {
    const jwk = privateKey.export({ format: "jwk" }) as Record<string, string | undefined>;
    for (const member of PRIVATE_MEMBERS) noteBytes(`${member} of ${kid}`, Buffer.from(jwk[member] ?? "", "base64url"));
    noteBytes(`PKCS #8 of ${kid}`, privateKey.export({ format: "der", type: "pkcs8" }));
  }

  function noteBytes(name: string, bytes: Buffer): void {
    if (bytes.length === 0) return;
    for (const form of ["hex", "base64", "base64url"] as const) secrets.set(`${name} in ${form}`, bytes.toString(form));
  }
});
