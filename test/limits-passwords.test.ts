import { availableParallelism } from "node:os";
import { expect } from "chai";
import { hashesOf, SLOW_HASH } from "./support/hashes.ts";
import { countedOf, fail, limited, WRONG, waitOf, wrongs } from "./support/limits.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

describe("wrong passwords for an account", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  const right = (login: string) => service.auth.signIn({ login, password: PASSWORD });

  it("are free five times; then each next check waits, twice as long each time", async () => {
    const { username } = await signUpConfirmed(service);
    expect(await fail(service, username, 5)).to.deep.equal(wrongs(5));
    for (const seconds of [10, 20, 40, 80, 160, 320, 600]) {
      const wait = await waitOf(right(username));
      expect(wait).to.be.within((seconds / 2) * SECOND, seconds * SECOND);
      await passTime(service, wait);
      expect(await fail(service, username)).to.deep.equal(wrongs(1));
    }
  });

  it("from the twentieth within 15 minutes are refused until the first of them is so old", async () => {
    const brief = await startService({ config: limited({ FAILURE_DELAY: "1s", FAILURE_DELAY_MAX: "1s" }) });
    const { username } = await signUpConfirmed(brief);
    expect(await fail(brief, username, 5)).to.deep.equal(wrongs(5));
    for (let more = 6; more <= 20; more++) {
      await passTime(brief, 10 * SECOND);
      expect(await fail(brief, username)).to.deep.equal(wrongs(1));
    }
    const wait = await waitOf(brief.auth.signIn({ login: username, password: PASSWORD }));
    expect(wait).to.be.within(11 * MINUTE, 15 * MINUTE - 150 * SECOND);
    await passTime(brief, wait - MINUTE);
    expect(await fail(brief, username)).to.deep.equal(["RATE_LIMITED"]);
    await passTime(brief, MINUTE);
    expect(await refusalOf(signIn(brief, { username, password: PASSWORD }))).to.equal("");
    await brief.stop();
  });

  it("wait a minute at most unless it is set otherwise", async () => {
    const usual = await startService({ config: limited({ FAILURE_DELAY: "1s", FAILURE_DELAY_MAX: "60s" }) });
    const { username } = await signUpConfirmed(usual);
    for (const seconds of [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60]) {
      await passTime(usual, seconds * SECOND);
      expect(await fail(usual, username)).to.deep.equal(wrongs(1));
    }
    expect(await waitOf(usual.auth.signIn({ login: username, password: PASSWORD }))).to.be.within(
      40 * SECOND,
      60 * SECOND,
    );
    await usual.stop();
  });

  it("cost no hash where they are refused, and a refusal does not make the wait longer", async () => {
    const { username } = await signUpConfirmed(service);
    await fail(service, username, 5);
    const first = await waitOf(right(username));
    const hashes = await hashesOf(async () => {
      expect(await fail(service, username, 20)).to.deep.equal(Array(20).fill("RATE_LIMITED"));
    });
    expect(hashes).to.deep.equal([]);
    expect(await waitOf(right(username))).to.be.at.most(first);
  });

  it("are counted by the name as it is looked up, each of the two names by itself", async () => {
    const { username, email } = await signUpConfirmed(service);
    expect(await fail(service, username.toUpperCase(), 3)).to.deep.equal(wrongs(3));
    expect(await fail(service, ` ${username} `, 2)).to.deep.equal(wrongs(2));
    expect(await fail(service, username)).to.deep.equal(["RATE_LIMITED"]);
    expect(await fail(service, email.toUpperCase(), 5)).to.deep.equal(wrongs(5));
    expect(await fail(service, email)).to.deep.equal(["RATE_LIMITED"]);
  });

  it("of a login that no account can have are counted as any others", async () => {
    for (const login of [newPerson().username, newPerson().email, "no such name", "a@b@c"]) {
      expect(await fail(service, login, 6), login).to.deep.equal([...wrongs(5), "RATE_LIMITED"]);
    }
  });

  it("do not add up with right ones: what was counted for these is given back", async () => {
    const person = await signUpConfirmed(service);
    await fail(service, person.username, 4);
    const before = await countedOf(service, "account-failures");
    for (let time = 1; time <= 10; time++) expect(await refusalOf(right(person.username))).to.equal("");
    expect(await countedOf(service, "account-failures")).to.equal(before);
    expect(await fail(service, person.username, 2)).to.deep.equal([...wrongs(1), "RATE_LIMITED"]);
  });

  it("are none where the password was right, but the address not confirmed or the account blocked", async () => {
    const unconfirmed = newPerson();
    await service.auth.signUp(unconfirmed);
    const blocked = await signUpConfirmed(service);
    await service.database.query("UPDATE users SET is_active = false WHERE id = $1", blocked.id);
    const before = await countedOf(service, "account-failures");
    for (let time = 1; time <= 6; time++) {
      expect(await refusalOf(right(unconfirmed.username))).to.equal("EMAIL_NOT_CONFIRMED");
      expect(await refusalOf(right(blocked.email))).to.equal("USER_BLOCKED");
    }
    expect(await countedOf(service, "account-failures")).to.equal(before);
  });

  it("are none where the caller has left before it was hashed", async () => {
    const roomy = await startService({ config: limited({ FREE_FAILURES: "100", FAILURES_PER_ACCOUNT: "100/15m" }) });
    const { username, id } = await signUpConfirmed(roomy);
    await roomy.database.query("UPDATE users SET password_hash = $2 WHERE id = $1", id, SLOW_HASH);
    const callers = new AbortController();
    const count = availableParallelism() * 6;
    const calls = Array.from({ length: count }, () =>
      refusalOf(roomy.auth.signIn({ login: username, password: WRONG }, { signal: callers.signal })),
    );
    await waitUntil(async () => (await countedOf(roomy, "account-failures")) === count);
    callers.abort();
    await Promise.all(calls);
    await waitUntil(async () => (await countedOf(roomy, "account-failures")) <= count / 2);
    await roomy.stop();
  });

  it("are forgotten one by one, each after its 15 minutes", async () => {
    const { username } = await signUpConfirmed(service);
    await fail(service, username, 2);
    await passTime(service, 10 * MINUTE);
    await fail(service, username, 3);
    expect(await fail(service, username)).to.deep.equal(["RATE_LIMITED"]);
    await passTime(service, 5 * MINUTE);
    expect(await fail(service, username, 3)).to.deep.equal([...wrongs(2), "RATE_LIMITED"]);
  });
});

describe("wrong passwords of who is signed in", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  const change = (options: { headers: Record<string, string> }, currentPassword: string) =>
    refusalOf(service.auth.changePassword({ currentPassword, newPassword: "a password newly chosen" }, options));

  it("are counted for that session, and lock neither another one out nor a sign-in", async () => {
    const person = await signUpConfirmed(service);
    const [stolen, own] = [await signIn(service, person), await signIn(service, person)];
    for (let time = 1; time <= 5; time++) expect(await change(stolen.options, WRONG)).to.equal("INVALID_CREDENTIALS");
    const hashes = await hashesOf(async () => expect(await change(stolen.options, PASSWORD)).to.equal("RATE_LIMITED"));
    expect(hashes).to.deep.equal([]);
    expect(await refusalOf(signIn(service, person))).to.equal("");
    expect(await change(own.options, PASSWORD)).to.equal("");
  });

  it("are counted with those that the same device gives at a sign-in", async () => {
    const person = await signUpConfirmed(service);
    const { options, refreshToken: deviceToken } = await signIn(service, person);
    for (let time = 1; time <= 3; time++) await change(options, WRONG);
    expect(await fail(service, person.username, 3, { deviceToken })).to.deep.equal([...wrongs(2), "RATE_LIMITED"]);
    expect(await change(options, PASSWORD)).to.equal("RATE_LIMITED");
  });

  it("do not add up with right ones, nor with a new password that is refused", async () => {
    const person = await signUpConfirmed(service);
    const { options } = await signIn(service, person);
    const before = await countedOf(service, "device-failures");
    const weak = { currentPassword: PASSWORD, newPassword: "short" };
    for (let time = 1; time <= 6; time++)
      expect(await refusalOf(service.auth.changePassword(weak, options))).to.equal("INVALID_ARGUMENT");
    expect(await change(options, PASSWORD)).to.equal("");
    expect(await countedOf(service, "device-failures")).to.equal(before);
  });
});
