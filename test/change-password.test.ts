import { expect } from "chai";
import { hashesOf, SLOW_HASH } from "./support/hashes.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { faultsOf, refusedPasswords } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { countLive, refresh, storedSession } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const NEW = "a password newly chosen";

type Options = { readonly headers: Record<string, string> };

describe("a change of password", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const change = (options: Options, currentPassword = PASSWORD, newPassword = NEW) =>
    refusalOf(service.auth.changePassword({ currentPassword, newPassword }, options));
  const signInWith = (login: string, password: string) => refusalOf(service.auth.signIn({ login, password }));

  /** Somebody signed in on one device, or on more. */
  async function signedIn() {
    const person = await signUpConfirmed(service);
    return { ...person, ...(await signIn(service, person)) };
  }

  it("puts the new password in the place of the current one", async () => {
    const { email, username, options } = await signedIn();
    expect(await change(options)).to.equal("");
    expect(await signInWith(email, PASSWORD)).to.equal("INVALID_CREDENTIALS");
    expect(await signInWith(username, NEW)).to.equal("");
    expect(await change(options)).to.equal("INVALID_CREDENTIALS");
    expect(await change(options, NEW, PASSWORD)).to.equal("");
  });

  it("ends every session but the one that asks, access tokens too", async () => {
    const here = await signedIn();
    const others = [await signIn(service, here), await signIn(service, here)];
    expect(await change(here.options)).to.equal("");
    for (const other of others) {
      expect(await refusalOf(service.auth.getMe({}, other.options))).to.equal("INVALID_TOKEN");
      expect(await refusalOf(refresh(service, other.refreshToken))).to.equal("INVALID_TOKEN");
      expect(await storedSession(service, other)).to.include({ ended: true, endReason: "password_changed" });
    }
    expect((await service.auth.getMe({}, here.options)).user?.id).to.equal(here.id);
    await refresh(service, here.refreshToken);
    expect(await countLive(service, here.id)).to.equal(1);
  });

  it("is refused for a wrong current password, and changes nothing", async () => {
    const here = await signedIn();
    const other = await signIn(service, here);
    for (const wrong of ["wrong password", PASSWORD.toUpperCase(), NEW]) {
      expect(await change(here.options, wrong)).to.equal("INVALID_CREDENTIALS");
    }
    expect(await refusalOf(service.auth.getMe({}, other.options))).to.equal("");
    expect(await signInWith(here.email, PASSWORD)).to.equal("");
    expect(await mailedTo(service, here.email)).to.deep.equal(["confirm-email"]);
  });

  it("takes the passwords that a sign-up takes, and names each faulty field", async () => {
    const { username, email } = await signUpConfirmed(service, { ...newPerson(), username: "Somebody.Else" });
    const { options } = await signIn(service, { username, password: PASSWORD });
    for (const [newPassword, reason] of refusedPasswords({ username, email })) {
      const call = service.auth.changePassword({ currentPassword: PASSWORD, newPassword }, options);
      expect(await faultsOf(call), newPassword).to.deep.equal({ new_password: reason });
    }
    for (const [currentPassword, reason] of [
      ["", "REQUIRED"],
      ["x\0", "MALFORMED"],
      ["x".repeat(257), "TOO_LONG"],
    ] as const) {
      const call = service.auth.changePassword({ currentPassword, newPassword: "short" }, options);
      expect(await faultsOf(call)).to.deep.equal({ current_password: reason, new_password: "TOO_SHORT" });
    }
    expect(await signInWith(email, PASSWORD)).to.equal("");
  });

  it("takes the current password in any Unicode form, and tells bytes beyond the 72nd apart", async () => {
    const person = { ...newPerson(), password: "cafe\u0301 au lait" };
    await signUpConfirmed(service, person);
    const { options } = await signIn(service, person);
    const long = "x".repeat(72);
    expect(await change(options, "caf\u00e9 au lait", `${long}a`)).to.equal("");
    expect(await change(options, `${long}b`)).to.equal("INVALID_CREDENTIALS");
    expect(await change(options, `${long}a`)).to.equal("");
  });

  it("makes reset tokens worthless that were mailed before", async () => {
    const { email, options } = await signedIn();
    await service.auth.requestPasswordReset({ email });
    const { token } = await readMail(service, email, 2);
    expect(await change(options)).to.equal("");
    expect(await refusalOf(service.auth.resetPassword({ token, newPassword: PASSWORD }))).to.equal("INVALID_TOKEN");
    expect(await signInWith(email, NEW)).to.equal("");
  });

  it("is told to the holder of the address, in a mail that has no token and says what to do", async () => {
    const { email, username, options } = await signedIn();
    expect(await change(options)).to.equal("");
    const mail = await readMail(service, email, 2);
    expect(mail.subject).to.equal("Your password was changed");
    expect(mail.text)
      .to.include(`Hello ${username},`)
      .and.include("If this was not you, choose a new password at once");
    expect(mail.text.match(/https?:\/\/\S+/g)).to.deep.equal(["http://localhost:8080/account/reset"]);
    expect(mail.html).not.to.match(/\/account\/\w+\//);
    expect((await fetch(`${service.httpUrl}/account/reset`)).status).to.equal(200);
  });

  it("is one read, then after the hashes one transaction: the account's row first, then its sessions", async () => {
    const { options } = await signedIn();
    const words = (await statementsOf(() => change(options))).map((statement) => /\w+/.exec(statement)?.[0]);
    expect(words).to.deep.equal(["SELECT", "START", "SELECT", "WITH", "WITH", "UPDATE", "WITH", "COMMIT"]);
  });

  it("costs two hashes, one when the current password is wrong, and none when the fields are faulty", async () => {
    const { options } = await signedIn();
    expect(await hashesOf(() => change(options, PASSWORD, "short"))).to.have.length(0);
    expect(await hashesOf(() => change(options, "wrong password"))).to.have.length(1);
    expect(await hashesOf(() => change(options))).to.have.length(2);
  });

  it("loses to a block that came while the password was compared", async () => {
    const admin = await signInAdmin(service);
    const { id: userId, email, options } = await signedIn();
    await expectSlow(userId, options, "INVALID_TOKEN", () =>
      service.admin.setUserActive({ userId, isActive: false }, admin.options),
    );
    await service.admin.setUserActive({ userId, isActive: true }, admin.options);
    expect(await signInWith(email, PASSWORD)).to.equal("");
  });

  it("loses to a sign-out that came while the password was compared", async () => {
    const { id, email, options, refreshToken } = await signedIn();
    await expectSlow(id, options, "INVALID_TOKEN", () => service.auth.signOut({ refreshToken }));
    expect(await signInWith(email, PASSWORD)).to.equal("");
  });

  it("loses to a revocation of its session that it has to wait for", async () => {
    const { id, email, options } = await signedIn();
    const lock = await holdLock(service, `SELECT 1 FROM users WHERE id = ${id} FOR UPDATE`);
    const late = change(options);
    await untilBlocked(service);
    await lock.query("UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE user_id = $1", id);
    await lock.release();
    expect(await late).to.equal("INVALID_TOKEN");
    expect(await signInWith(email, PASSWORD)).to.equal("");
  });

  it("loses to another change that came while the password was compared", async () => {
    const { id, email, options } = await signedIn();
    const stolen = "what the other one chose";
    const hash = await hashOf(stolen);
    await expectSlow(id, options, "INVALID_CREDENTIALS", () => setHash(id, hash));
    expect(await signInWith(email, stolen)).to.equal("");
  });

  it("is tried once more when the same password was only hashed anew meanwhile", async () => {
    const { id, email, options } = await signedIn();
    const hash = await hashOf(PASSWORD);
    await expectSlow(id, options, "", () => setHash(id, hash));
    expect(await signInWith(email, NEW)).to.equal("");
  });

  /** Changes the password of who has a hash that takes long to compare, and does something else meanwhile. */
  async function expectSlow(id: bigint, options: Options, refusal: string, meanwhile: () => Promise<unknown>) {
    await setHash(id, SLOW_HASH);
    await hashesOf(async (seen) => {
      const late = change(options);
      await waitUntil(() => seen.length > 0);
      await meanwhile();
      expect(await late).to.equal(refusal);
    });
  }

  const setHash = (id: bigint, hash: string) =>
    service.database.query("UPDATE users SET password_hash = $2 WHERE id = $1", id, hash);

  /** A hash as the service keeps it. */
  async function hashOf(password: string): Promise<string> {
    const { id } = await signUpConfirmed(service, { ...newPerson(), password });
    const sql = "SELECT password_hash AS hash FROM users WHERE id = $1";
    const [row] = await service.database.query<{ hash: string }>(sql, id);
    return row?.hash ?? "";
  }
});

describe("a change of password where addresses need no confirmation", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { emailConfirmation: "optional" } });
  });
  after(() => service.stop());

  it("mails nothing to an address that nobody has proved", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    const { options } = await signIn(service, person);
    await service.auth.changePassword({ currentPassword: PASSWORD, newPassword: NEW }, options);
    expect(await mailedTo(service, person.email)).to.deep.equal(["confirm-email"]);
  });

  it("leaves a contested password contested: the holder of the address still clears it", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    const { options } = await signIn(service, person);
    const again = service.auth.signUp({ ...newPerson(), email: person.email, password: "the holder's own password" });
    expect(await refusalOf(again)).to.equal("EMAIL_TAKEN");
    await service.auth.changePassword({ currentPassword: PASSWORD, newPassword: NEW }, options);
    const { token } = await readMail(service, person.email, 2);
    expect((await service.auth.confirmEmail({ token })).passwordRequired).to.equal(true);
    expect(await refusalOf(signIn(service, { ...person, password: NEW }))).to.equal("INVALID_CREDENTIALS");
    const late = service.auth.changePassword({ currentPassword: NEW, newPassword: PASSWORD }, options);
    expect(await refusalOf(late)).to.equal("INVALID_TOKEN");
  });
});
