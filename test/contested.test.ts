import { expect } from "chai";
import { hashesOf, SLOW_HASH } from "./support/hashes.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { bearer, newPerson, PASSWORD, readMail, refusalOf } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";

const OTHER = "another horse, another battery";
const CHOSEN = "what the holder of the address chose";

describe("an unconfirmed address that is signed up again", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const signIn = (person: { email: string }, password: string) =>
    refusalOf(service.auth.signIn({ login: person.email, password }));

  /** Signs one address up twice; gives it with the tokens and codes of both mails. */
  async function signUpTwice(second: string, person = newPerson()) {
    await service.auth.signUp(person);
    const first = await readMail(service, person.email);
    expect(await refusalOf(service.auth.signUp({ ...newPerson(), email: person.email, password: second }))).to.equal(
      "EMAIL_TAKEN",
    );
    return { ...person, first, second: await readMail(service, person.email, 2) };
  }

  it("keeps its password when the same one was given", async () => {
    const person = await signUpTwice(PASSWORD);
    const confirmed = await service.auth.confirmEmail({ token: person.second.token });
    expect([confirmed.user?.email, confirmed.passwordRequired, confirmed.resetToken]).to.deep.equal([
      person.email,
      false,
      "",
    ]);
    expect(await signIn(person, PASSWORD)).to.equal("");
  });

  it("keeps its password when the same one was given in another Unicode form", async () => {
    const person = await signUpTwice("cafe\u0301 au lait", { ...newPerson(), password: "caf\u00e9 au lait" });
    expect((await service.auth.confirmEmail({ token: person.first.token })).passwordRequired).to.equal(false);
    expect(await signIn(person, "caf\u00e9 au lait")).to.equal("");
  });

  it("loses its password on confirmation when another one was given, and neither ever signs in", async () => {
    const person = await signUpTwice(OTHER);
    expect(await signIn(person, PASSWORD)).to.equal("EMAIL_NOT_CONFIRMED");
    expect(await signIn(person, OTHER)).to.equal("INVALID_CREDENTIALS");

    const { user, passwordRequired, resetToken } = await service.auth.confirmEmail({ token: person.first.token });
    expect([user?.email, user?.emailConfirmed, passwordRequired]).to.deep.equal([person.email, true, true]);
    expect([await signIn(person, PASSWORD), await signIn(person, OTHER)]).to.deep.equal(
      Array(2).fill("INVALID_CREDENTIALS"),
    );

    const mail = await readMail(service, person.email, 3);
    expect([mail.kind, mail.token]).to.deep.equal(["reset", resetToken]);
    await service.auth.resetPassword({ token: resetToken, newPassword: CHOSEN });
    expect(await signIn(person, CHOSEN)).to.equal("");
    expect(await refusalOf(service.auth.resetPassword({ token: mail.token, newPassword: OTHER }))).to.equal(
      "INVALID_TOKEN",
    );
    expect([await signIn(person, PASSWORD), await signIn(person, OTHER)]).to.deep.equal(
      Array(2).fill("INVALID_CREDENTIALS"),
    );
  });

  it("loses its password when it is confirmed by a code as well", async () => {
    const person = await signUpTwice(OTHER);
    const confirmed = await service.auth.confirmEmail({ email: person.email, code: person.second.code });
    expect(confirmed.passwordRequired).to.equal(true);
    expect((await readMail(service, person.email, 3)).token).to.equal(confirmed.resetToken);
    expect([await signIn(person, PASSWORD), await signIn(person, OTHER)]).to.deep.equal(
      Array(2).fill("INVALID_CREDENTIALS"),
    );
  });

  it("stays contested when the first password is given once more", async () => {
    const person = await signUpTwice(OTHER);
    await refusalOf(service.auth.signUp(person));
    expect((await service.auth.confirmEmail({ token: person.first.token })).passwordRequired).to.equal(true);
  });

  it("is contested no more once its holder has reset the password", async () => {
    const person = await signUpTwice(OTHER);
    await service.auth.requestPasswordReset({ email: person.email });
    const { token } = await readMail(service, person.email, 3);
    await service.auth.resetPassword({ token, newPassword: CHOSEN });
    expect(await service.auth.confirmEmail({ token: person.first.token })).to.deep.include({
      alreadyConfirmed: true,
      passwordRequired: false,
    });
    expect(await signIn(person, CHOSEN)).to.equal("");
  });

  it("can ask for a reset as usual when both answer and mail of the confirmation were lost", async () => {
    const person = await signUpTwice(OTHER);
    const { resetToken } = await service.auth.confirmEmail({ token: person.first.token });
    await service.auth.requestPasswordReset({ email: person.email });
    const { token } = await readMail(service, person.email, 4);
    expect(await refusalOf(service.auth.resetPassword({ token: resetToken, newPassword: CHOSEN }))).to.equal(
      "INVALID_TOKEN",
    );
    await service.auth.resetPassword({ token, newPassword: CHOSEN });
    expect(await signIn(person, CHOSEN)).to.equal("");
  });

  it("is contested, whatever the password, when the conflict shows only as the row is written", async () => {
    const person = newPerson();
    const lock = await holdLock(service, "LOCK TABLE users IN EXCLUSIVE MODE");
    const second = refusalOf(service.auth.signUp(person));
    await untilBlocked(service);
    await plant(person, lock.query);
    await lock.release();
    expect(await second).to.equal("EMAIL_TAKEN");
    const { token } = await readMail(service, person.email);
    expect((await service.auth.confirmEmail({ token })).passwordRequired).to.equal(true);
  });

  it("is contested when the password was compared with that of the username's account", async () => {
    const [owner, person] = [newPerson(), newPerson()];
    await service.auth.signUp(owner);
    const { database } = service;
    await database.query("UPDATE users SET password_hash = $1 WHERE username = $2", SLOW_HASH, owner.username);
    await hashesOf(async (seen) => {
      const second = refusalOf(service.auth.signUp({ ...person, username: owner.username }));
      await waitUntil(() => seen.length > 0);
      await plant(person, database.query);
      expect(await second).to.equal("EMAIL_TAKEN");
    });
    const { token } = await readMail(service, person.email);
    expect((await service.auth.confirmEmail({ token })).passwordRequired).to.equal(true);
  });

  it("ends the sessions that were begun before it was confirmed, access tokens too", async () => {
    const { database, mails } = service;
    const lenient = await startService({ database, mails, config: { emailConfirmation: "optional" } });
    try {
      const intruder = newPerson();
      const { tokens } = await lenient.auth.signUp(intruder);
      await refusalOf(lenient.auth.signUp({ ...newPerson(), email: intruder.email, password: OTHER }));
      const { token } = await readMail(service, intruder.email, 2);
      expect((await lenient.auth.confirmEmail({ token })).passwordRequired).to.equal(true);
      expect(await refusalOf(lenient.auth.getMe({}, bearer(tokens?.accessToken ?? "")))).to.equal("INVALID_TOKEN");
      const refreshToken = tokens?.refreshToken ?? "";
      expect(await refusalOf(lenient.auth.refreshToken({ refreshToken }))).to.equal("INVALID_TOKEN");
    } finally {
      await lenient.stop();
    }
  });

  /** An account that another process has just made, with the same password. */
  async function plant(
    { username, email }: { username: string; email: string },
    query: (sql: string, ...values: unknown[]) => Promise<unknown>,
  ): Promise<void> {
    await query(
      `INSERT INTO users (username, username_key, email, email_key, password_hash)
       SELECT $1, $1, $2, $2, password_hash FROM users WHERE password_hash IS NOT NULL LIMIT 1`,
      username,
      email,
    );
  }
});
