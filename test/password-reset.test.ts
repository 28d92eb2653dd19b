import { expect } from "chai";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { faultsOf, refusedPasswords } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { countLive } from "./support/tokens.ts";

const NEW = "a password newly chosen";
const MINUTE = 60_000;

describe("a password reset", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const signInWith = (login: string, password: string) => refusalOf(service.auth.signIn({ login, password }));
  const reset = (token: string, newPassword = NEW) => refusalOf(service.auth.resetPassword({ token, newPassword }));

  /** Asks for a reset; gives the mailed token, of the `count`th mail to the address. */
  async function ask(email: string, count = 2): Promise<string> {
    await service.auth.requestPasswordReset({ email });
    const { kind, token } = await readMail(service, email, count);
    expect(kind).to.equal("reset");
    return token;
  }

  it("puts a new password in the place of the old one", async () => {
    const { email, username } = await signUpConfirmed(service);
    await service.auth.requestPasswordReset({ email: email.toUpperCase() });
    const { token } = await readMail(service, email, 2);
    expect(await reset(token)).to.equal("");
    expect(await signInWith(email, PASSWORD)).to.equal("INVALID_CREDENTIALS");
    expect(await signInWith(username, NEW)).to.equal("");
  });

  it("ends every session, access tokens too", async () => {
    const person = await signUpConfirmed(service);
    const devices = [await signIn(service, person), await signIn(service, person)];
    expect(await reset(await ask(person.email))).to.equal("");
    for (const { options, refreshToken } of devices) {
      expect(await refusalOf(service.auth.getMe({}, options))).to.equal("INVALID_TOKEN");
      expect(await refusalOf(service.auth.refreshToken({ refreshToken }))).to.equal("INVALID_TOKEN");
    }
    expect(await countLive(service, person.id)).to.equal(0);
  });

  it("takes the newest token only", async () => {
    const { email } = await signUpConfirmed(service);
    const [older, newer] = [await ask(email), await ask(email, 3)];
    expect(await reset(older)).to.equal("INVALID_TOKEN");
    expect(await reset(newer)).to.equal("");
  });

  it("takes a token once, of fifty at once too", async () => {
    const { email } = await signUpConfirmed(service);
    const token = await ask(email);
    const passwords = Array.from({ length: 50 }, (_, i) => `${NEW} ${i}`);
    const refusals = await Promise.all(passwords.map((password) => reset(token, password)));
    expect(refusals.toSorted()).to.deep.equal(["", ...Array(49).fill("INVALID_TOKEN")]);
    expect(await signInWith(email, passwords[refusals.indexOf("")] ?? "")).to.equal("");
    expect(await reset(token)).to.equal("INVALID_TOKEN");
  });

  it("takes a token for 30 minutes and no longer", async () => {
    const [early, late] = [await signUpConfirmed(service), await signUpConfirmed(service)];
    const tokens = [await ask(early.email), await ask(late.email)] as const;
    await passTime(service, 29 * MINUTE);
    expect(await reset(tokens[0])).to.equal("");
    await passTime(service, MINUTE);
    expect(await reset(tokens[1])).to.equal("INVALID_TOKEN");
    expect(await signInWith(late.email, PASSWORD)).to.equal("");
  });

  it("confirms the address", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    const { token: link } = await readMail(service, person.email);
    expect(await reset(await ask(person.email))).to.equal("");
    expect(await signInWith(person.email, NEW)).to.equal("");
    expect((await service.auth.confirmEmail({ token: link })).alreadyConfirmed).to.equal(true);
  });

  it("leaves a blocked account blocked", async () => {
    const admin = await signInAdmin(service);
    const { email, id } = await signUpConfirmed(service);
    await service.admin.setUserActive({ userId: id, isActive: false }, admin.options);
    expect(await reset(await ask(email))).to.equal("");
    expect(await signInWith(email, NEW)).to.equal("USER_BLOCKED");
  });

  it("does not spend the token on a password that is refused", async () => {
    const { email, username } = await signUpConfirmed(service);
    const token = await ask(email);
    for (const [newPassword, reason] of refusedPasswords({ username, email })) {
      const call = service.auth.resetPassword({ token, newPassword });
      expect(await faultsOf(call), newPassword).to.deep.equal({ new_password: reason });
    }
    expect(await signInWith(email, PASSWORD)).to.equal("");
    expect(await reset(token)).to.equal("");
  });

  it("refuses a bad token before it looks at the password, and a token for something else", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    const { token: link, code } = await readMail(service, person.email);
    for (const token of ["", "bad", link, code, `${link}=`, "A".repeat(64)]) {
      expect(await reset(token, "short"), token).to.equal("INVALID_TOKEN");
    }
  });

  it("asked for answers an unknown address like a known one, and mails it nothing", async () => {
    const { email } = await signUpConfirmed(service);
    const unknown = newPerson().email;
    const known = await service.auth.requestPasswordReset({ email });
    expect(await service.auth.requestPasswordReset({ email: unknown })).to.deep.equal(known);
    expect(await mailedTo(service, email)).to.deep.equal(["confirm-email", "reset-password"]);
    expect(await mailedTo(service, unknown)).to.deep.equal([]);
    expect(await faultsOf(service.auth.requestPasswordReset({ email: "no address" }))).to.deep.equal({
      email: "MALFORMED",
    });
  });

  it("asked for fifty times at once leaves one token that is good", async () => {
    const { email } = await signUpConfirmed(service);
    await Promise.all(Array.from({ length: 50 }, () => service.auth.requestPasswordReset({ email })));
    await readMail(service, email, 51);
    const tokens = service.mails.filter(({ to }) => to === email).map(({ text }) => /reset\/([\w-]+)/.exec(text)?.[1]);
    const refusals: string[] = [];
    for (const token of tokens) refusals.push(await reset(token ?? ""));
    expect(refusals.toSorted()).to.deep.equal(["", ...Array(50).fill("INVALID_TOKEN")]);
  });

  it("does not get stuck with a request for another token, which wins", async () => {
    const { email, id } = await signUpConfirmed(service);
    const token = await ask(email);
    const lock = await holdLock(service, `SELECT 1 FROM users WHERE id = ${id} FOR UPDATE`);
    const request = refusalOf(service.auth.requestPasswordReset({ email }));
    await untilBlocked(service);
    const older = reset(token);
    await untilBlocked(service, 2);
    await lock.release();
    expect([await request, await older]).to.deep.equal(["", "INVALID_TOKEN"]);
  });
});
