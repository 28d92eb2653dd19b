import { expect } from "chai";
import { type Pair, startPair } from "./support/pair.ts";
import { newPerson, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import type { TestService } from "./support/service.ts";

const ROUNDS = 20;
const TWENTY = Array.from({ length: 20 }, (_, index) => index);

describe("of two processes at once", () => {
  let pair: Pair;
  let first: TestService;
  let second: TestService;
  before(async () => {
    pair = await startPair();
    ({ first, second } = pair);
  });
  after(() => pair.stop());

  const at = (index: number) => (index % 2 === 0 ? first : second);

  for (const deed of ["block", "demote", "delete"] as const) {
    it(`one admin wins when two ${deed} each other, and one is left`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await first.database.query("UPDATE users SET roles = '{}'");
        const [one, two] = [await signInAdmin(first), await signInAdmin(second)];
        const act = ({ admin }: TestService, { options }: { options: object }, userId: bigint): Promise<object> => {
          if (deed === "block") return admin.setUserActive({ userId, isActive: false }, options);
          return deed === "demote"
            ? admin.setUserRoles({ userId, roles: [] }, options)
            : admin.deleteUser({ userId }, options);
        };
        const refusals = await Promise.all([refusalOf(act(first, one, two.id)), refusalOf(act(second, two, one.id))]);
        expect(refusals).to.include("");
        expect(refusals.find((refusal) => refusal !== "")).to.be.oneOf([
          "LAST_ADMIN",
          "PERMISSION_DENIED",
          "INVALID_TOKEN",
        ]);
        const left = await first.database.query<{ id: string }>(
          "SELECT id FROM users WHERE is_active AND 'admin' = ANY (roles)",
        );
        expect(left.map(({ id }) => id)).to.deep.equal([String(refusals[0] === "" ? one.id : two.id)]);
      }
    });
  }

  it("one reset wins when a token is used twice, and its password is the one that signs in", async () => {
    const person = await signUpConfirmed(first);
    for (let round = 0; round < ROUNDS; round++) {
      await first.auth.requestPasswordReset({ email: person.email });
      const { token } = await readMail(first, person.email, round + 2);
      const passwords = [0, 1].map((index) => `${index} of ${round} horse batteries`);
      const resets = passwords.map((newPassword, index) => at(index).auth.resetPassword({ token, newPassword }));
      const refusals = await Promise.all(resets.map(refusalOf));
      expect([...refusals].sort()).to.deep.equal(["", "INVALID_TOKEN"]);
      const signIns = passwords.map((password) => refusalOf(signIn(first, { ...person, password })));
      expect(await Promise.all(signIns)).to.deep.equal(
        refusals.map((refusal) => (refusal === "" ? "" : "INVALID_CREDENTIALS")),
      );
    }
  });

  it("one confirms when a link is opened twice, and the other hears that it was done already", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const person = newPerson();
      await first.auth.signUp(person);
      const { token } = await readMail(first, person.email);
      const answers = await Promise.all([0, 1].map((index) => at(index).auth.confirmEmail({ token })));
      expect(answers.map(({ alreadyConfirmed }) => alreadyConfirmed).sort()).to.deep.equal([false, true]);
      expect(answers.map(({ user }) => user?.emailConfirmed === true).sort()).to.deep.equal([false, true]);
    }
  });

  for (const { name, taken } of [
    { name: "username", taken: "USERNAME_TAKEN" },
    { name: "email", taken: "EMAIL_TAKEN" },
  ] as const) {
    it(`one of twenty sign-ups of one ${name} wins, and the others hear ${taken}`, async () => {
      const wanted = newPerson();
      const signUps = TWENTY.map((index) => at(index).auth.signUp({ ...newPerson(), [name]: wanted[name] }));
      const refusals = await Promise.all(signUps.map(refusalOf));
      expect(refusals.filter((refusal) => refusal === "")).to.have.length(1);
      expect(refusals.filter((refusal) => refusal === taken)).to.have.length(19);
      const rows = await first.database.query(`SELECT 1 FROM users WHERE ${name} = $1`, wanted[name]);
      expect(rows).to.have.length(1);
    });
  }
});
