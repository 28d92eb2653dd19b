import { expect } from "chai";
import { hashesOf } from "./support/hashes.ts";
import { postJson } from "./support/http.ts";
import { countedOf, fail, from, limited, WRONG, wrongs } from "./support/limits.ts";
import { PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { refresh } from "./support/tokens.ts";

const DAY = 86_400_000;

describe("a device that is known", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  /** Somebody with a device, whose account strangers have closed by both names. */
  async function besieged() {
    const person = await signUpConfirmed(service);
    const device = await signIn(service, person);
    for (const login of [person.username, person.email]) await fail(service, login, 5);
    return { ...person, device };
  }

  const knock = (login: string, deviceToken: string, options = {}) =>
    refusalOf(service.auth.signIn({ login, password: PASSWORD, deviceToken }, options));

  it("gets in while strangers keep the account closed, by either name and each way in", async () => {
    const { username, email, device } = await besieged();
    const { refreshToken } = device;
    expect(await knock(username, "")).to.equal("RATE_LIMITED");
    expect(await knock(username, refreshToken)).to.equal("");
    expect(await knock(email.toUpperCase(), refreshToken)).to.equal("");
    for (const path of ["/sign-in", "/auth/login", "/api/auth/login"]) {
      const body = { login: username, password: PASSWORD, device_token: refreshToken };
      expect((await postJson(service, path, body)).status, path).to.equal(200);
    }
    const connect = { login: email, password: PASSWORD, deviceToken: refreshToken };
    expect((await postJson(service, "/auth.v1.AuthService/SignIn", connect)).status).to.equal(200);
  });

  it("is known by any refresh token that it ever got: spent, of an ended session, expired", async () => {
    const { username, device } = await besieged();
    const later = await refresh(service, device.refreshToken);
    expect(await knock(username, device.refreshToken)).to.equal("");
    expect(await knock(username, later.refreshToken)).to.equal("");
    await service.auth.signOut({ refreshToken: later.refreshToken });
    expect(await knock(username, later.refreshToken)).to.equal("");
    await passTime(service, 60 * DAY);
    await fail(service, username, 5);
    expect(await fail(service, username)).to.deep.equal(["RATE_LIMITED"]);
    expect(await knock(username, device.refreshToken)).to.equal("");
  });

  it("is not known by a token that is forged, of another kind or another account's: as by none", async () => {
    const { username, device } = await besieged();
    const other = await signIn(service, await signUpConfirmed(service));
    const { refreshToken } = device;
    const tampered = Buffer.from(refreshToken, "base64url");
    tampered.writeUInt8(tampered.readUInt8(1) ^ 1, 1);
    const tokens = ["junk", tampered.toString("base64url"), `${refreshToken}=`, device.accessToken, other.refreshToken];
    for (const token of tokens) expect(await knock(username, token), token).to.equal("RATE_LIMITED");
    const open = await signUpConfirmed(service);
    for (const token of tokens) expect(await knock(open.username, token), token).to.equal("");
  });

  it("of another account does not count its failures under that account", async () => {
    const victim = await signUpConfirmed(service);
    const { refreshToken: deviceToken } = await signIn(service, await signUpConfirmed(service));
    const before = await countedOf(service, "device-failures");
    expect(await fail(service, victim.username, 6, { deviceToken })).to.deep.equal([...wrongs(5), "RATE_LIMITED"]);
    expect(await countedOf(service, "device-failures")).to.equal(before);
  });

  it("has a budget of its own, and its failures do not close the account", async () => {
    const person = await signUpConfirmed(service);
    const [one, two] = [await signIn(service, person), await signIn(service, person)];
    const given = { deviceToken: one.refreshToken };
    const hashes = await hashesOf(async () => {
      expect(await fail(service, person.username, 7, given)).to.deep.equal([
        ...wrongs(5),
        "RATE_LIMITED",
        "RATE_LIMITED",
      ]);
    });
    expect(hashes).to.have.length(5);
    expect(await fail(service, person.email, 1, given)).to.deep.equal(["RATE_LIMITED"]);
    expect(await knock(person.username, two.refreshToken)).to.equal("");
    expect(await knock(person.username, "")).to.equal("");
  });

  it("gets in from an address that others have closed", async () => {
    const person = await signUpConfirmed(service);
    const { refreshToken } = await signIn(service, person);
    const here = from("203.0.113.77");
    for (let stranger = 1; stranger <= 20; stranger++) await fail(service, `stranger${stranger}`, 1, here);
    expect(await knock(person.username, "", here)).to.equal("RATE_LIMITED");
    expect(await knock(person.username, refreshToken, here)).to.equal("");
    const wrong = service.auth.signIn({ login: person.username, password: WRONG, deviceToken: refreshToken }, here);
    expect(await refusalOf(wrong)).to.equal("INVALID_CREDENTIALS");
  });
});
