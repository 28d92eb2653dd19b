import { expect } from "chai";
import { type Pair, startPair } from "./support/pair.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import type { TestService } from "./support/service.ts";
import { countLive } from "./support/tokens.ts";

const ROUNDS = 20;

describe("of two processes at once, twenty times,", () => {
  let pair: Pair;
  let first: TestService;
  let second: TestService;
  before(async () => {
    pair = await startPair();
    ({ first, second } = pair);
  });
  after(() => pair.stop());

  async function signedIn() {
    const person = await signUpConfirmed(first);
    return { ...person, ...(await signIn(first, person)) };
  }

  /** Each password with what a sign-in with it is answered. */
  const signInsWith = async (person: { readonly username: string }, passwords: readonly string[]) =>
    Promise.all(passwords.map((password) => refusalOf(signIn(first, { ...person, password }))));

  const changes = (passwords: readonly string[], options: readonly { headers: Record<string, string> }[]) =>
    passwords.map((newPassword, index) => {
      const { auth } = index === 0 ? first : second;
      return refusalOf(auth.changePassword({ currentPassword: PASSWORD, newPassword }, options[index]));
    });

  it("one of two changes of a password wins, and the other's was not the current one", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const person = await signedIn();
      const passwords = ["the first horse", "the second horse"];
      const refusals = await Promise.all(changes(passwords, [person.options, person.options]));
      expect(refusals.toSorted()).to.deep.equal(["", "INVALID_CREDENTIALS"]);
      expect(await signInsWith(person, passwords)).to.deep.equal(refusals);
    }
  });

  it("one of two devices that change the password signs the other out", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const person = await signedIn();
      const other = await signIn(second, person);
      const passwords = ["the first horse", "the second horse"];
      const refusals = await Promise.all(changes(passwords, [person.options, other.options]));
      expect(refusals.toSorted()).to.deep.equal(["", "INVALID_TOKEN"]);
      expect(await countLive(first, person.id)).to.equal(1);
      const expected = refusals.map((refusal) => (refusal === "" ? "" : "INVALID_CREDENTIALS"));
      expect(await signInsWith(person, passwords)).to.deep.equal(expected);
    }
  });

  it("a change of password or a reset wins, and leaves the other nothing to do it with", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const person = await signedIn();
      await first.auth.requestPasswordReset({ email: person.email });
      const { token } = await readMail(first, person.email, 2);
      const passwords = ["the changed horse", "the reset horse"] as const;
      const [changed, reset] = await Promise.all([
        ...changes([passwords[0]], [person.options]),
        refusalOf(second.auth.resetPassword({ token, newPassword: passwords[1] })),
      ]);
      // Whoever comes first makes the other's token or session worthless.
      expect([changed, reset]).to.be.deep.oneOf([
        ["", "INVALID_TOKEN"],
        ["INVALID_TOKEN", ""],
      ]);
      const expected = [changed, reset].map((refusal) => (refusal === "" ? "" : "INVALID_CREDENTIALS"));
      expect(await signInsWith(person, passwords)).to.deep.equal(expected);
    }
  });

  it("a block leaves no session, whether the change of password came before it or not", async () => {
    const admin = await signInAdmin(first);
    for (let round = 0; round < ROUNDS; round++) {
      const person = await signedIn();
      const block = second.admin.setUserActive({ userId: person.id, isActive: false }, admin.options);
      const [changed = ""] = await Promise.all([...changes(["the changed horse"], [person.options]), block]);
      expect(changed).to.be.oneOf(["", "INVALID_TOKEN"]);
      expect(await countLive(first, person.id)).to.equal(0);
      await first.admin.setUserActive({ userId: person.id, isActive: true }, admin.options);
      const expected = changed === "" ? ["INVALID_CREDENTIALS", ""] : ["", "INVALID_CREDENTIALS"];
      expect(await signInsWith(person, [PASSWORD, "the changed horse"])).to.deep.equal(expected);
    }
  });

  it("a deletion is no accident to whoever does something with the account", async () => {
    const admin = await signInAdmin(first);
    for (let round = 0; round < ROUNDS; round++) {
      const [member, newcomer] = [await signedIn(), newPerson()];
      const { user } = await second.auth.signUp(newcomer);
      const { token } = await readMail(first, newcomer.email);
      const { auth } = second;
      const deeds = {
        confirm: auth.confirmEmail({ token }),
        askToConfirm: auth.requestEmailConfirmation({ email: newcomer.email }),
        signUpAgain: auth.signUp({ ...newPerson(), email: newcomer.email }),
        askToReset: auth.requestPasswordReset({ email: member.email }),
        rename: auth.updateMe({ username: newPerson().username }, member.options),
        change: auth.changePassword({ currentPassword: PASSWORD, newPassword: "a new horse" }, member.options),
        signIn: auth.signIn({ login: member.email, password: PASSWORD }),
      };
      const deletions = [user?.id ?? 0n, member.id].map((userId) => first.admin.deleteUser({ userId }, admin.options));
      const told = await Promise.all(Object.values(deeds).map(refusalOf));
      await Promise.all(deletions);
      for (const refusal of told) {
        expect(refusal).to.be.oneOf(["", "INVALID_TOKEN", "INVALID_CREDENTIALS", "EMAIL_TAKEN"]);
      }
    }
    const errors = [first, second].flatMap(({ lines }) => lines.filter((line) => line.includes('"level":"error"')));
    expect(errors).to.deep.equal([]);
  });
});
