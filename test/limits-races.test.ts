import { expect } from "chai";
import { hashesOf } from "./support/hashes.ts";
import { admitted, countedOf, from, limited, WRONG, wrongs } from "./support/limits.ts";
import { mailedTo } from "./support/outbox.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";

describe("limits of two processes", () => {
  let pair: Pair;
  before(async () => {
    // Waits so long that no machine sits them out.
    pair = await startPair(limited({ FAILURE_DELAY: "60s" }));
  });
  after(() => pair.stop());

  /** Makes so many calls at once, at either process in turn; the reasons of the refusals. */
  function atOnce(count: number, call: (auth: Pair["first"]["auth"], index: number) => Promise<unknown>) {
    const { first, second } = pair;
    return Promise.all(
      Array.from({ length: count }, (_, index) => refusalOf(call((index % 2 === 0 ? first : second).auth, index))),
    );
  }

  it("let five of a hundred wrong passwords at once be hashed, and a known device in meanwhile", async () => {
    const person = await signUpConfirmed(pair.first);
    const { username: login } = person;
    const { refreshToken: deviceToken } = await signIn(pair.first, person);
    let owner = "";
    const hashes = await hashesOf(async () => {
      const attack = atOnce(100, (auth) => auth.signIn({ login, password: WRONG }));
      owner = await refusalOf(pair.second.auth.signIn({ login, password: PASSWORD, deviceToken }, from("203.0.113.7")));
      expect(admitted(await attack)).to.deep.equal(wrongs(5));
    });
    expect(owner).to.equal("");
    expect(hashes).to.have.length(5 + 1);
    expect(await refusalOf(signIn(pair.first, person))).to.equal("RATE_LIMITED");
  });

  it("let five of a hundred for an unknown login be hashed", async () => {
    const login = newPerson().email;
    const hashes = await hashesOf(async () => {
      const reasons = await atOnce(100, (auth) => auth.signIn({ login, password: WRONG }));
      expect(admitted(reasons)).to.deep.equal(wrongs(5));
    });
    expect(hashes).to.have.length(5);
  });

  it("let twenty of a hundred from one /64 be hashed, each for an account of its own", async () => {
    const hashes = await hashesOf(async () => {
      const reasons = await atOnce(100, (auth, index) =>
        auth.signIn({ login: newPerson().username, password: WRONG }, from(`2001:db8:77:1::${index}`)),
      );
      expect(admitted(reasons)).to.deep.equal(wrongs(20));
    });
    expect(hashes).to.have.length(20);
  });

  it("count an attempt under all its limits or under none, whichever is reached at that moment", async () => {
    const logins = Array.from({ length: 10 }, () => newPerson().username);
    const [accounts, addresses] = [await countedOf(pair.first, "account"), await countedOf(pair.first, "address")];
    const reasons = await atOnce(100, (auth, index) =>
      auth.signIn({ login: logins[index % 10] ?? "", password: WRONG }, from("203.0.113.5")),
    );
    expect(admitted(reasons)).to.deep.equal(wrongs(20));
    expect(await countedOf(pair.first, "account")).to.equal(accounts + 20);
    expect(await countedOf(pair.first, "address")).to.equal(addresses + 20);
  });

  it("are left as they were by right passwords among wrong ones", async () => {
    const { username: login } = await signUpConfirmed(pair.first);
    const before = await countedOf(pair.first, "account");
    const reasons = await atOnce(40, (auth, index) =>
      auth.signIn({ login, password: index % 4 === 0 ? PASSWORD : WRONG }),
    );
    const failures = reasons.filter((reason) => reason === "INVALID_CREDENTIALS").length;
    expect(new Set(reasons)).to.include("RATE_LIMITED");
    expect(failures).to.be.at.most(5);
    expect(await countedOf(pair.first, "account")).to.equal(before + failures);
  });

  it("let twenty right passwords at once in, which make room for each other", async () => {
    const { username: login } = await signUpConfirmed(pair.first);
    const before = await countedOf(pair.first, "account");
    const calls = Array.from({ length: 20 }, () => refusalOf(pair.first.auth.signIn({ login, password: PASSWORD })));
    expect(await Promise.all(calls)).to.deep.equal(Array(20).fill(""));
    expect(await countedOf(pair.first, "account")).to.equal(before);
  });

  it("let three of fifty mails at once be sent, and ten of fifty sign-ups be made", async () => {
    const { email } = await signUpConfirmed(pair.first);
    await atOnce(50, (auth) => auth.requestPasswordReset({ email }));
    expect(await mailedTo(pair.first, email)).to.have.length(3);
    const hashes = await hashesOf(async () => {
      const reasons = await atOnce(50, (auth) => auth.signUp(newPerson(), from("203.0.113.6")));
      expect(admitted(reasons)).to.deep.equal(Array(10).fill(""));
    });
    expect(hashes).to.have.length(10);
  });
});
