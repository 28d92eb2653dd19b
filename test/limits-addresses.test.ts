import { randomInt } from "node:crypto";
import { expect } from "chai";
import { networkOf } from "../src/address-network.ts";
import { hashesOf } from "./support/hashes.ts";
import { postForm, postJson } from "./support/http.ts";
import { admitted, countedOf, type From, fail, from, limited, WRONG, waitOf, wrongs } from "./support/limits.ts";
import { newPerson, PASSWORD, refusalOf, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { passTime } from "./support/time.ts";

const MINUTE = 60_000;

let networks = 0;
/** An address that nobody has called from, of 50 of them. */
const newAddress = () => `198.51.100.${++networks}`;

describe("an address", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  /** Gives so many wrong passwords from there, each for a login of its own. */
  async function failFrom(options: From, times: number, by = service): Promise<string[]> {
    const reasons = [];
    for (let time = 1; time <= times; time++) reasons.push(...(await fail(by, newPerson().username, 1, options)));
    return reasons;
  }
  const signUpFrom = (options: From, person = newPerson()) => refusalOf(service.auth.signUp(person, options));
  const askFrom = (options: From, email = newPerson().email) =>
    refusalOf(service.auth.requestPasswordReset({ email }, options));

  it("fails twenty times within 15 minutes, whosever accounts it tries; then it is refused, and no other", async () => {
    const { username } = await signUpConfirmed(service);
    const here = from(newAddress());
    expect(await failFrom(here, 20)).to.deep.equal(wrongs(20));
    const signIn = () => service.auth.signIn({ login: username, password: PASSWORD }, here);
    const hashes = await hashesOf(async () => expect(await refusalOf(signIn())).to.equal("RATE_LIMITED"));
    expect(hashes).to.deep.equal([]);
    expect(await failFrom(from(newAddress()), 1)).to.deep.equal(wrongs(1));
    const wait = await waitOf(signIn());
    expect(wait).to.be.within(12 * MINUTE, 15 * MINUTE);
    await passTime(service, wait - MINUTE);
    expect(await failFrom(here, 1)).to.deep.equal(["RATE_LIMITED"]);
    await passTime(service, MINUTE);
    expect(await refusalOf(signIn())).to.equal("");
  });

  it("does not use up its failures by right passwords", async () => {
    const { username } = await signUpConfirmed(service);
    const here = from(newAddress());
    for (let time = 1; time <= 25; time++)
      expect(await refusalOf(service.auth.signIn({ login: username, password: PASSWORD }, here))).to.equal("");
    expect(await failFrom(here, 1)).to.deep.equal(wrongs(1));
  });

  it("that is refused does not count against the account that it tries", async () => {
    const { username } = await signUpConfirmed(service);
    const here = from(newAddress());
    await failFrom(here, 20);
    const before = await countedOf(service, "account-failures");
    expect(await fail(service, username, 10, here)).to.deep.equal(Array(10).fill("RATE_LIMITED"));
    expect(await countedOf(service, "account-failures")).to.equal(before);
  });

  it("is not counted where the account is closed already", async () => {
    const { username } = await signUpConfirmed(service);
    const here = from(newAddress());
    expect(await fail(service, username, 30, here)).to.deep.equal([...wrongs(5), ...Array(25).fill("RATE_LIMITED")]);
    expect(await failFrom(here, 16)).to.deep.equal([...wrongs(15), "RATE_LIMITED"]);
  });

  it("is one with all others of its /64, and not with its neighbours", async () => {
    const within = () => from(`2001:db8:1:2:${randomInt(65_536).toString(16)}::${randomInt(65_536).toString(16)}`);
    const reasons = [];
    for (let time = 1; time <= 21; time++) reasons.push(...(await failFrom(within(), 1)));
    expect(reasons).to.deep.equal([...wrongs(20), "RATE_LIMITED"]);
    expect(await failFrom(from("2001:db8:1:3::1"), 1)).to.deep.equal(wrongs(1));
    for (const [address, network] of Object.entries({
      "2001:DB8:1:2::1": "2001:db8:1:2::/64",
      "2001:db8::1": "2001:db8:0:0::/64",
      "64:ff9b::192.0.2.1": "64:ff9b:0:0::/64",
      "192.0.2.1": "192.0.2.1",
    }))
      expect(networkOf(address)).to.equal(network);
  });

  it("is what the last trusted proxy tells, whatever the caller has written before it", async () => {
    const [real, spoofed] = [newAddress(), () => `1.2.3.${randomInt(256)}`];
    const reasons = [];
    for (let time = 1; time <= 21; time++) reasons.push(...(await failFrom(from(`${spoofed()}, ${real}`), 1)));
    expect(reasons).to.deep.equal([...wrongs(20), "RATE_LIMITED"]);
  });

  it("is not believed to who is neither proxy nor gateway: its account's limit holds", async () => {
    const plain = await startService({ config: { ...limited(), trustedProxies: [] } });
    const { username } = await signUpConfirmed(plain);
    const hashes = await hashesOf(async () => {
      const calls = Array.from({ length: 100 }, (_, i) => fail(plain, username, 1, from(`203.0.113.${i}`)));
      expect(admitted((await Promise.all(calls)).flat())).to.deep.equal(wrongs(5));
    });
    expect(hashes).to.have.length(5);
    expect(await countedOf(plain, "address")).to.equal(0);
    await plain.stop();
  });

  it("of a gateway's key is the person's whom it calls for; without x-forwarded-for it is nobody's", async () => {
    const plain = await startService({ config: { ...limited(), trustedProxies: [] } });
    const { key } = await issueKey(plain, ["gateway"]);
    const gateway = (headers: Record<string, string> = {}): From => ({
      headers: { "x-latchkey-key": key, ...headers },
    });
    const person = gateway({ "x-forwarded-for": newAddress() });
    expect(await failFrom(person, 21, plain)).to.deep.equal([...wrongs(20), "RATE_LIMITED"]);
    for (const options of [gateway(), { headers: {} }])
      expect(await failFrom(options, 30, plain)).to.deep.equal(wrongs(30));
    await plain.stop();
  });

  it("signs up ten times an hour, taken names included", async () => {
    const here = from(newAddress());
    const taken = await signUpConfirmed(service);
    expect(await signUpFrom(here, taken)).to.equal("EMAIL_TAKEN");
    expect(await signUpFrom(here, { ...newPerson(), username: taken.username })).to.equal("USERNAME_TAKEN");
    for (let time = 3; time <= 10; time++) expect(await signUpFrom(here)).to.equal("");
    const hashes = await hashesOf(async () => expect(await signUpFrom(here)).to.equal("RATE_LIMITED"));
    expect(hashes).to.deep.equal([]);
    expect(await signUpFrom(from(newAddress()))).to.equal("");
    await passTime(service, 59 * MINUTE);
    expect(await signUpFrom(here)).to.equal("RATE_LIMITED");
    await passTime(service, MINUTE);
    expect(await signUpFrom(here)).to.equal("");
  });

  it("does not use up its sign-ups by requests that are refused before any work", async () => {
    const here = from(newAddress());
    for (let time = 1; time <= 11; time++)
      expect(await signUpFrom(here, { ...newPerson(), password: "short" })).to.equal("INVALID_ARGUMENT");
    expect(await signUpFrom(here)).to.equal("");
  });

  it("has twenty mails an hour sent, whoever they are for", async () => {
    const here = from(newAddress());
    for (let time = 1; time <= 10; time++) {
      expect(await askFrom(here)).to.equal("");
      const { email } = newPerson();
      expect(await refusalOf(service.auth.requestEmailConfirmation({ email }, here))).to.equal("");
    }
    const { email } = await signUpConfirmed(service);
    expect(await askFrom(here, email)).to.equal("RATE_LIMITED");
    expect(await refusalOf(service.auth.requestEmailConfirmation({ email }, here))).to.equal("RATE_LIMITED");
    expect(await signUpFrom(here)).to.equal("RATE_LIMITED");
    expect(await askFrom(from(newAddress()), email)).to.equal("");
    const wait = await waitOf(service.auth.requestPasswordReset({ email }, here));
    await passTime(service, wait);
    expect(await askFrom(here, email)).to.equal("");
  });

  it("is refused alike by route and page", async () => {
    const { headers } = from(newAddress());
    for (let time = 1; time <= 20; time++) await askFrom({ headers });
    const { email } = newPerson();
    const rest = await postJson(service, "/api/auth/request_email", { email }, headers);
    expect(rest).to.include({ status: 429 });
    expect(rest.body).to.deep.equal({ detail: "Too many attempts, try again later", code: "RATE_LIMITED" });
    const page = await postForm(service, "/account/reset/request", { email }, headers);
    expect(page).to.include({ status: 429 });
    expect(page.text).to.include("Too many attempts").and.include(`value="${email}"`);
    for (const answer of [rest, page]) expect(Number(answer.headers.get("retry-after"))).to.be.within(3_000, 3_600);
  });

  it("is nobody's where an admin makes accounts", async () => {
    const before = await countedOf(service, "address");
    const { options } = await issueKey(service, ["admin"]);
    const headers = { ...options.headers, ...from(newAddress()).headers };
    for (let time = 1; time <= 12; time++)
      expect(await refusalOf(service.admin.createUser({ ...newPerson(), password: WRONG }, { headers }))).to.equal("");
    expect(await countedOf(service, "address")).to.equal(before);
  });
});
