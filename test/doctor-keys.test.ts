import { expect } from "chai";
import { generateSigningKey } from "../src/auth/signing-key.ts";
import { createSecret } from "../src/secret.ts";
import { examine, type Found, settingsOn } from "./support/doctor.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { kidsOf } from "./support/signing-keys.ts";

const NEW_KEY = "another secret key, as long as the first";
const JWT_SECRET = "a secret for HS256, shared with a backend";

describe("the doctor, of the keys,", () => {
  let service: TestService;
  beforeEach(async () => {
    service = await startService();
  });
  afterEach(() => service.stop());

  const look = async (changes: Readonly<Record<string, string>> = {}): Promise<Found | undefined> =>
    (await examine({ ...settingsOn(service.database), ...changes })).keys;

  it("says how many SECRET_KEY opens, and what access tokens are signed by", async () => {
    const finding = "SECRET_KEY opens all 5; access tokens are signed by ES256";
    expect(await look()).to.deep.equal({ name: "keys", status: "ok", finding });
    const shared = await look({ JWT_ALGORITHM: "HS256", JWT_SECRET });
    expect(shared)
      .to.include({ status: "ok" })
      .and.have.property("finding")
      .that.matches(/by HS256$/);
  });

  it("warns of what is missing, which the next start makes", async () => {
    const other = await look({ JWT_ALGORITHM: "PS256" });
    expect(other?.status).to.equal("warning");
    expect(other?.advice).to.deep.equal(["There is none yet for PS256 signatures: the next start makes it."]);
    await service.database.query("DELETE FROM keys WHERE purpose = 'pepper'");
    expect((await look())?.advice?.join()).to.include("none yet for pepper:");
  });

  it("does not count keys that are retired", async () => {
    const [old = ""] = kidsOf(service);
    await service.app.signingKeys.rotate({ atOnce: true });
    expect((await look())?.finding).to.include("opens all 6;");
    await service.app.signingKeys.retire(old);
    expect((await look())?.finding).to.include("opens all 5;");
  });

  it("tells in which state a change of SECRET_KEY is", async () => {
    const changed = { SECRET_KEY: NEW_KEY, SECRET_KEY_PREVIOUS: SECRET_KEY };
    const before = await look(changed);
    expect(before).to.include({ status: "warning" });
    expect(before?.advice).to.deep.equal([
      "SECRET_KEY_PREVIOUS is needed for 5 of them, until the next start wraps them anew.",
    ]);
    const { database, clock, mails } = service;
    const config = { secretKey: createSecret(NEW_KEY), secretKeyPrevious: [createSecret(SECRET_KEY)] };
    await (await startService({ database, clock, mails, config })).stop();
    expect(await look(changed)).to.include({ status: "ok" });
    expect(await look({ SECRET_KEY: NEW_KEY })).to.include({ status: "ok" });
    expect(await look()).to.include({ status: "failed", finding: "SECRET_KEY does not open the 5 in the database" });
  });

  it("names a signing key that stays closed, what to do about it, and when it is over", async () => {
    const { kid, alg, publicJwk } = await generateSigningKey("ES256");
    await service.database.query(
      "INSERT INTO keys (id, purpose, alg, public_jwk, wrapped, retire_at) VALUES ($1, 'sign_access', $2, $3, '\\x00', $4)",
      ...[kid, alg, JSON.stringify(publicJwk), new Date("2130-01-31T12:00:00Z")],
    );
    const found = await look();
    expect(found)
      .to.include({ status: "warning" })
      .and.have.property("finding")
      .that.matches(/opens 5 of 6;/);
    expect(found?.advice).to.have.length(1);
    expect(found?.advice?.join()).to.include(kid).and.to.include("SECRET_KEY_PREVIOUS").and.to.include("2130-01-31");
  });
});
