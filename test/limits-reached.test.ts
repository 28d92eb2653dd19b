import { expect } from "chai";
import { hashesOf } from "./support/hashes.ts";
import { type From, fail, from, limited, WRONG, wrongs } from "./support/limits.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { passTime } from "./support/time.ts";

// No more than there are places on one core: those that look anew in the same moment all get one.
const MANY = 30;
// One a second, were it a slow machine.
const FEW = 10;

describe("a limit that was seen to be reached", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited({ SIGN_UPS_PER_ADDRESS: "2/1h" }) });
  });
  after(() => service.stop());

  /** How many statements it takes to refuse all of so many calls at once, after the first. */
  async function statementsToRefuse(call: () => Promise<unknown>): Promise<number> {
    expect(await refusalOf(call())).to.equal("RATE_LIMITED");
    const statements = await statementsOf(async () => {
      const reasons = await Promise.all(Array.from({ length: MANY }, () => refusalOf(call())));
      expect(new Set(reasons)).to.deep.equal(new Set(["RATE_LIMITED"]));
    });
    return statements.length;
  }

  const guesses = (login: string, deviceToken = "", options?: From) =>
    statementsToRefuse(() => service.auth.signIn({ login, password: WRONG, deviceToken }, options));

  it("costs guesses at an account a statement a second, from wherever they come", async () => {
    const { username: login } = await signUpConfirmed(service);
    expect(await fail(service, login, 5)).to.deep.equal(wrongs(5));
    expect(await guesses(login)).to.be.below(FEW);
    expect(await guesses(login, "", from("203.0.113.81"))).to.be.below(FEW);
    const unknown = newPerson().username;
    expect(await fail(service, unknown, 5)).to.deep.equal(wrongs(5));
    expect(await guesses(unknown)).to.be.below(FEW);
  });

  it("costs as little for those who show a device of another account, and lets a known one in", async () => {
    const [person, other] = [await signUpConfirmed(service), await signUpConfirmed(service)];
    const [known, foreign] = [await signIn(service, person), await signIn(service, other)];
    await fail(service, person.username, 5);
    expect(await guesses(person.username, foreign.refreshToken)).to.be.below(FEW);
    const attempt = { login: person.username, password: PASSWORD, deviceToken: known.refreshToken };
    expect(await refusalOf(service.auth.signIn(attempt))).to.equal("");
  });

  it("costs an address that signs up too often as little", async () => {
    const address = from("203.0.113.82");
    for (const _ of [1, 2]) await service.auth.signUp(newPerson(), address);
    const hashes = await hashesOf(async () => {
      expect(await statementsToRefuse(() => service.auth.signUp(newPerson(), address))).to.be.below(FEW);
    });
    expect(hashes).to.deep.equal([]);
  });

  it("is looked at anew after a second, since other processes give back too", async () => {
    const person = await signUpConfirmed(service);
    expect(await fail(service, person.username, 6)).to.deep.equal([...wrongs(5), "RATE_LIMITED"]);
    await service.database.query("DELETE FROM throttle WHERE key LIKE 'account-failures:%'");
    await passTime(service, 1_000);
    expect(await refusalOf(signIn(service, person))).to.equal("");
  });

  it("is looked at anew by who comes next, whoever else asks and is refused", async () => {
    const person = await signUpConfirmed(service);
    const address = from("203.0.113.83");
    for (const _ of Array(20)) await fail(service, newPerson().username, 1, address);
    expect(await fail(service, person.username, 6)).to.deep.equal([...wrongs(5), "RATE_LIMITED"]);
    await service.database.query("DELETE FROM throttle WHERE key LIKE 'account-failures:%'");
    await passTime(service, 500);
    expect(await fail(service, newPerson().username, 1, address)).to.deep.equal(["RATE_LIMITED"]);
    await passTime(service, 500);
    expect(await fail(service, person.username, 1, address)).to.deep.equal(["RATE_LIMITED"]);
    expect(await refusalOf(signIn(service, person))).to.equal("");
  });

  it("keeps no known device out that tried another account where strangers have reached it", async () => {
    const [person, other] = [await signUpConfirmed(service), await signUpConfirmed(service)];
    const { refreshToken: deviceToken } = await signIn(service, person);
    const address = from("203.0.113.84");
    for (const _ of Array(20)) await fail(service, newPerson().username, 1, address);
    expect(await fail(service, other.username, 1, { deviceToken, ...address })).to.deep.equal(["RATE_LIMITED"]);
    const attempt = { login: person.username, password: PASSWORD, deviceToken };
    expect(await refusalOf(service.auth.signIn(attempt, address))).to.equal("");
  });

  it("is forgotten with a reset, though somebody has seen it reached until that was committed", async () => {
    const { username, email } = await signUpConfirmed(service);
    expect(await fail(service, username, 6)).to.deep.equal([...wrongs(5), "RATE_LIMITED"]);
    await service.auth.requestPasswordReset({ email });
    const { token } = await readMail(service, email, 2);
    const password = "a password newly chosen";
    const lock = await holdLock(service, "LOCK TABLE revocations IN SHARE MODE");
    const reset = refusalOf(service.auth.resetPassword({ token, newPassword: password }));
    await untilBlocked(service);
    expect(await fail(service, username)).to.deep.equal(["RATE_LIMITED"]);
    await lock.release();
    expect(await reset).to.equal("");
    expect(await refusalOf(signIn(service, { username, password }))).to.equal("");
  });

  it("does not keep those out whose right passwords make room for each other", async () => {
    const person = await signUpConfirmed(service);
    await fail(service, person.username, 4);
    const reasons = await Promise.all(Array.from({ length: 10 }, () => refusalOf(signIn(service, person))));
    expect(reasons).to.deep.equal(Array(10).fill(""));
  });
});
