import { timestampDate } from "@bufbuild/protobuf/wkt";
import bcrypt from "bcrypt";
import { expect } from "chai";
import { now } from "../src/clock.ts";
import { hashesOf, SLOW_HASH } from "./support/hashes.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const WRONG = "quite another password";

describe("a sign-in", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const attempt = (login: string, password = PASSWORD) => refusalOf(service.auth.signIn({ login, password }));
  const store = (email: string, hash: string | null) =>
    service.database.query("UPDATE users SET password_hash = $1 WHERE email = $2", hash, email);
  const stored = async (email: string) => {
    const sql = "SELECT password_hash AS hash FROM users WHERE email = $1";
    return (await service.database.query<{ hash: string }>(sql, email))[0]?.hash ?? "";
  };

  it("takes username or e-mail address, however it is written", async () => {
    const { username, email, id } = await signUpConfirmed(service);
    for (const login of [username, username.toUpperCase(), email, email.toUpperCase(), ` ${email} `]) {
      expect((await service.auth.signIn({ login, password: PASSWORD })).user?.id, login).to.equal(id);
    }
  });

  it("answers account and tokens, and remembers when it was", async () => {
    const person = await signUpConfirmed(service);
    const { user, tokens } = await service.auth.signIn({ login: person.email, password: PASSWORD });
    expect(user).to.include({ id: person.id, username: person.username, isActive: true, emailConfirmed: true });
    const at = user?.lastSignInTime && timestampDate(user.lastSignInTime).getTime();
    expect(at).to.be.closeTo(now(service.clock), 60_000);
    expect(tokens).to.include({ tokenType: "bearer", expiresIn: 24 * 60 * 60 });
  });

  it("tells of password, then address, then block", async () => {
    const admin = await signInAdmin(service);
    const person = newPerson();
    const { user } = await service.auth.signUp(person);
    await service.admin.setUserActive({ userId: user?.id ?? 0n, isActive: false }, admin.options);
    expect(await attempt(person.email, WRONG)).to.equal("INVALID_CREDENTIALS");
    expect(await attempt(person.email)).to.equal("EMAIL_NOT_CONFIRMED");
    await service.auth.confirmEmail({ token: (await readMail(service, person.email)).token });
    expect(await attempt(person.email, WRONG)).to.equal("INVALID_CREDENTIALS");
    expect(await attempt(person.email)).to.equal("USER_BLOCKED");
    await service.admin.setUserActive({ userId: user?.id ?? 0n, isActive: true }, admin.options);
    expect(await attempt(person.email)).to.equal("");
  });

  it("names the device and tells its address in the list of sessions", async () => {
    const person = await signUpConfirmed(service);
    const deviceName = "🗝".repeat(100);
    await service.auth.signIn({ login: person.email, password: PASSWORD, deviceName });
    const { options } = await signIn(service, person);
    const { sessions } = await service.auth.listSessions({}, options);
    expect(sessions.map(({ deviceName, current }) => [deviceName, current])).to.deep.equal([
      ["", true],
      [deviceName, false],
    ]);
    expect(sessions.map(({ address }) => address)).to.deep.equal(["127.0.0.1", "127.0.0.1"]);
  });

  it("takes any device token there is, and goes by the password alone", async () => {
    const person = await signUpConfirmed(service);
    const { refreshToken } = await signIn(service, person);
    await refresh(service, refreshToken);
    for (const deviceToken of [refreshToken, "no token at all", "\u{1F5DD}"]) {
      const request = { login: person.email, deviceToken };
      expect((await service.auth.signIn({ ...request, password: PASSWORD })).user?.id).to.equal(person.id);
      expect(await refusalOf(service.auth.signIn({ ...request, password: WRONG }))).to.equal("INVALID_CREDENTIALS");
    }
  });

  it("refuses what is missing or too long by name, and knows nobody of an odd name", async () => {
    const faults = async (request: object) => faultsOf(service.auth.signIn({ login: "x", password: "x", ...request }));
    expect(await faultsOf(service.auth.signIn({}))).to.deep.equal({ login: "REQUIRED", password: "REQUIRED" });
    const long = { login: `${"é".repeat(127)}x`, password: "x".repeat(257), deviceName: "x".repeat(101) };
    expect(await faults(long)).to.deep.equal({ login: "TOO_LONG", password: "TOO_LONG", device_name: "TOO_LONG" });
    expect(await faults({ login: "a\0b", password: "\uFFFD", deviceName: "\0" })).to.deep.equal({
      login: "MALFORMED",
      password: "MALFORMED",
      device_name: "MALFORMED",
    });
    for (const login of ["é".repeat(127), "no such name!", "a@b@c", "a,b@x.io", "\u202Eada", "'; --", "1"]) {
      expect(await attempt(login), login).to.equal("INVALID_CREDENTIALS");
    }
  });

  it("knows nobody without a password", async () => {
    const { email } = await signUpConfirmed(service);
    await store(email, null);
    expect(await attempt(email)).to.equal("INVALID_CREDENTIALS");
  });

  it("renews a hash of another scheme or cost, once", async () => {
    const { email } = await signUpConfirmed(service);
    const current = await stored(email);
    const plain = bcrypt.hashSync(PASSWORD, 5);
    const imports = [plain, plain.replace("$2b$", "$2a$"), plain.replace("$2b$", "$2y$"), bcrypt.hashSync(PASSWORD, 4)];
    for (const hash of imports) {
      await store(email, hash);
      expect(await attempt(email, WRONG), hash).to.equal("INVALID_CREDENTIALS");
      expect(await stored(email), hash).to.equal(hash);
      expect(await attempt(email), hash).to.equal("");
      const renewed = await stored(email);
      expect(renewed.slice(0, -53), hash).to.equal(current.slice(0, -53));
      expect(await attempt(email), hash).to.equal("");
      expect(await stored(email), hash).to.equal(renewed);
    }
  });

  it("renews a hash that was made at another cost", async () => {
    const { email } = await signUpConfirmed(service);
    const { database } = service;
    const costly = await startService({ database, config: { bcryptCost: 6 } });
    try {
      expect(await refusalOf(costly.auth.signIn({ login: email, password: PASSWORD }))).to.equal("");
      expect(await stored(email)).to.match(/^bcrypt-hmac-sha384:[\w-]+:\$2b\$06\$/);
      expect(await attempt(email)).to.equal("");
      expect(await stored(email)).to.match(/^bcrypt-hmac-sha384:[\w-]+:\$2b\$04\$/);
    } finally {
      await costly.stop();
    }
  });

  it("succeeds fifty times at once though each would renew the hash", async () => {
    const { email } = await signUpConfirmed(service);
    const hash = bcrypt.hashSync(PASSWORD, 4);
    await store(email, hash);
    const refusals = await Promise.all(Array.from({ length: 50 }, () => attempt(email)));
    expect(refusals).to.deep.equal(Array(50).fill(""));
    expect(await stored(email)).not.to.equal(hash);
  });

  it("never computes a hash of a planted cost", async () => {
    const { email } = await signUpConfirmed(service);
    const current = await stored(email);
    const planted = [
      current.replace("$04$", "$31$"),
      bcrypt.hashSync(PASSWORD, 4).replace("$04$", "$16$"),
      current.replace("$04$", "$03$"),
      current.replace(/:[\w-]+:/, ":nopepper:"),
      "plain text",
      "",
    ];
    for (const hash of planted) {
      await store(email, hash);
      const seen = await hashesOf(async () => {
        expect(await attempt(email), hash).to.equal("INVALID_CREDENTIALS");
      });
      const compared = seen.map(({ task }) => ("hash" in task ? task.hash.slice(0, 7) : "a new hash"));
      expect(compared, hash).to.deep.equal(["$2b$04$"]);
    }
  });

  it("is refused when the password is reset, in another process, while it is being compared", async () => {
    const { email, id } = await signUpConfirmed(service);
    await store(email, SLOW_HASH);
    const { database, mails } = service;
    const other = await startService({ database, mails });
    try {
      await other.auth.requestPasswordReset({ email });
      const { token } = await readMail(service, email, 2);
      await hashesOf(async (seen) => {
        const slow = attempt(email);
        await waitUntil(() => seen.length > 0);
        await other.auth.resetPassword({ token, newPassword: WRONG });
        expect(await slow).to.equal("INVALID_CREDENTIALS");
      });
    } finally {
      await other.stop();
    }
    expect(await database.query("SELECT 1 FROM sessions WHERE user_id = $1", id)).to.deep.equal([]);
  });

  it("is refused when the account is blocked while the password is being compared", async () => {
    const admin = await signInAdmin(service);
    const { email, id } = await signUpConfirmed(service);
    await store(email, SLOW_HASH);
    await hashesOf(async (seen) => {
      const slow = attempt(email);
      await waitUntil(() => seen.length > 0);
      await service.admin.setUserActive({ userId: id, isActive: false }, admin.options);
      expect(await slow).to.equal("USER_BLOCKED");
    });
    expect(await service.database.query("SELECT 1 FROM sessions WHERE user_id = $1", id)).to.deep.equal([]);
  });
});
