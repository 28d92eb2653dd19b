import { unlinkSync } from "node:fs";
import { expect } from "chai";
import {
  type Authority,
  createAuthority,
  createRsaPair,
  createTlsFolder,
  inDays,
  type Pair,
} from "./support/certificates.ts";
import { runSource } from "./support/commands.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { sendTls, tlsSignIns } from "./support/tls-clients.ts";

describe("the start with TLS", () => {
  const folder = createTlsFolder();
  let authority: Authority;
  let pair: Pair;
  before(async () => {
    authority = await createAuthority();
    pair = await authority.issue();
  });
  beforeEach(() => {
    folder.writePair(pair);
    folder.write("clients.crt", authority.cert);
  });
  after(() => folder.remove());

  const settings = () => ({
    TLS_CERT: folder.pathOf("tls.crt"),
    TLS_KEY: folder.pathOf("tls.key"),
    TLS_CLIENT_CA: folder.pathOf("clients.crt"),
  });

  /** What a start with these files is refused for, before it has looked for its database. */
  async function faults(): Promise<string[]> {
    const env = { ...settings(), DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" };
    const { code, stdout, stderr } = await runSource("main.ts", [], { env });
    expect([code, stdout]).to.deep.equal([1, ""]);
    expect(stderr).not.to.match(/-----|\n {4}at /);
    const [first, ...others] = stderr.trimEnd().split("\n");
    expect(first).to.equal("Settings are at fault:");
    return others.map((line) => line.trim());
  }

  it("serves both ports over it, and says how long the certificate is good for", async () => {
    const database: TestDatabase = await createTestDatabase();
    let service: ServiceProcess | undefined;
    try {
      service = await startProcess(database, { ...settings(), EMAIL_CONFIRMATION: "optional" });
      const ready = JSON.parse(service.lines.find((line) => line.includes('"ready"')) ?? "{}");
      expect(Math.abs(Date.parse(ready.certificateValidTo) - inDays(365).getTime())).to.be.below(60_000);
      const [grpcPort, httpPort] = [ready.grpc, ready.http].map((address) => Number(address.split(":")[1]));
      const ports = { grpcPort: grpcPort ?? 0, httpPort: httpPort ?? 0 };
      const trust = { ca: authority.cert, own: pair };
      const headers = { "content-type": "application/json" };
      const account = JSON.stringify({ username: "ada", email: "ada@example.com", password: "secure_password" });
      const options = { method: "POST", headers };
      expect(await sendTls(ports.httpPort, "/auth/signup", trust, options, account)).to.include({ status: 200 });
      for (const [name, signIn] of Object.entries(tlsSignIns(ports, trust)))
        expect(await signIn("ada").catch(({ message }) => message), name).to.include("Invalid request");
    } finally {
      expect(await service?.stop("SIGTERM")).to.equal(0);
      await database.drop();
    }
  });

  it("is refused when a file is not there, each by its setting and all at once", async () => {
    for (const name of ["tls.crt", "tls.key", "clients.crt"]) unlinkSync(folder.pathOf(name));
    const missing = "names a file that cannot be read (ENOENT)";
    expect(await faults()).to.deep.equal(Object.keys(settings()).map((name) => `${name} ${missing}`));
  });

  it("is refused when a file holds something else", async () => {
    folder.write("tls.crt", pair.key);
    folder.write("tls.key", pair.cert);
    folder.write("clients.crt", "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n");
    expect(await faults()).to.deep.equal([
      "TLS_CERT holds no certificate in PEM",
      "TLS_KEY holds no private key in PEM",
      "TLS_CLIENT_CA holds a certificate that cannot be read",
    ]);
  });

  it("is refused when key and certificate are two pairs'", async () => {
    folder.write("tls.key", (await authority.issue()).key);
    expect(await faults()).to.deep.equal(["TLS_KEY does not belong to the first certificate of TLS_CERT"]);
  });

  it("is refused when the key wants a passphrase", async () => {
    folder.writePair(await authority.issue({ passphrase: "canary" }));
    expect(await faults()).to.deep.equal(["TLS_KEY is encrypted: give a key without a passphrase"]);
  });

  it("is refused when the certificates have expired", async () => {
    const past = { from: new Date("2020-01-01T00:00:00Z"), to: new Date("2021-01-01T00:00:00Z") };
    const expired = await authority.issue(past);
    folder.writePair(expired);
    folder.write("clients.crt", expired.cert);
    expect(await faults()).to.deep.equal([
      "TLS_CERT expired on 2021-01-01T00:00:00.000Z",
      "TLS_CLIENT_CA holds no certificate that has not expired",
    ]);
  });

  it("is refused before the certificate is valid", async () => {
    folder.writePair(
      await authority.issue({ from: new Date("2200-01-01T00:00:00Z"), to: new Date("2201-01-01T00:00:00Z") }),
    );
    expect(await faults()).to.deep.equal([
      "TLS_CERT is not valid before 2200-01-01T00:00:00.000Z: is the clock right?",
    ]);
  });

  it("is refused when the key is too short for anybody", async () => {
    folder.writePair(await createRsaPair(512));
    expect(await faults()).to.deep.equal(["TLS_KEY and TLS_CERT are refused by OpenSSL (ERR_SSL_EE_KEY_TOO_SMALL)"]);
  });
});
