import { expect } from "chai";
import { createServiceKeyOperator } from "../src/rpc/service-key-operator.ts";
import { fail, limited, wrongs } from "./support/limits.ts";
import { holdLock } from "./support/locks.ts";
import { newPerson, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { kidsOf } from "./support/signing-keys.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, refresh } from "./support/tokens.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const YEAR = 365 * DAY;

describe("the clean-up", () => {
  let service: TestService;
  beforeEach(async () => {
    service = await startService();
  });
  afterEach(() => service.stop());

  const count = async (table: string, where = "true", ...values: unknown[]): Promise<number> =>
    (await service.database.query(`SELECT 1 FROM ${table} WHERE ${where}`, ...values)).length;
  const leapAndCleanUp = async (ms: number) => {
    await passTime(service, ms);
    const { failed } = await service.app.cleanUp();
    expect(failed).to.deep.equal([]);
  };
  /** Checks that rows are there a minute before they are over, and gone a minute after. */
  const expectGoneAfter = async (ms: number, table: string, where: string, ...values: unknown[]) => {
    const before = await count(table, where, ...values);
    expect(before).to.be.above(0);
    await leapAndCleanUp(ms - MINUTE);
    expect(await count(table, where, ...values)).to.equal(before);
    await leapAndCleanUp(2 * MINUTE);
    expect(await count(table, where, ...values)).to.equal(0);
  };

  it("deletes a session 90 days after it was ended", async () => {
    const tokens = await signIn(service, await signUpConfirmed(service));
    await service.auth.signOut({ refreshToken: tokens.refreshToken });
    await expectGoneAfter(90 * DAY, "sessions", "id = $1", claimsOf(tokens).sid);
    expect(await refusalOf(refresh(service, tokens.refreshToken))).to.equal("INVALID_TOKEN");
    expect(await refusalOf(service.auth.getMe({}, tokens.options))).to.equal("INVALID_TOKEN");
  });

  it("deletes a session 90 days after its longest life was over", async () => {
    const tokens = await signIn(service, await signUpConfirmed(service));
    const life = service.config.sessionMaxAge;
    await expectGoneAfter(life + 90 * DAY, "sessions", "id = $1", claimsOf(tokens).sid);
  });

  it("deletes a token 30 days after it expired, so long as a second click is told that all is done", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    const { token } = await readMail(service, person.email);
    await service.auth.confirmEmail({ token });
    await leapAndCleanUp(31 * DAY - MINUTE);
    expect(await service.auth.confirmEmail({ token })).to.deep.include({ alreadyConfirmed: true });
    await leapAndCleanUp(2 * MINUTE);
    expect(await count("secret_tokens")).to.equal(0);
    expect(await refusalOf(service.auth.confirmEmail({ token }))).to.equal("INVALID_TOKEN");
  });

  it("deletes a revocation when the last access token that it names is over", async () => {
    const { refreshToken, options } = await signIn(service, await signUpConfirmed(service));
    await service.auth.signOut({ refreshToken });
    const margin = 30_000;
    await expectGoneAfter(service.config.accessTokenTtl + margin, "revocations", "true");
    expect(await refusalOf(service.auth.getMe({}, options))).to.equal("INVALID_TOKEN");
  });

  it("deletes what limits have counted when it tells nothing any more, and nothing that still does", async () => {
    await service.stop();
    service = await startService({ config: limited() });
    const { username } = await signUpConfirmed(service);
    await fail(service, username, 5);
    await leapAndCleanUp(14 * MINUTE);
    expect(await fail(service, username, 2)).to.deep.equal([...wrongs(1), "RATE_LIMITED"]);
    await leapAndCleanUp(2 * 60 * MINUTE);
    expect(await count("throttle")).to.equal(0);
  });

  it("deletes an event of the audit log after AUDIT_RETENTION", async () => {
    const { id } = await signUpConfirmed(service);
    await expectGoneAfter(service.config.auditRetention, "audit_events", "user_id = $1", id);
    await service.stop();
    service = await startService({ config: { auditRetention: DAY } });
    const another = await signUpConfirmed(service);
    await expectGoneAfter(DAY, "audit_events", "user_id = $1", another.id);
  });

  it("deletes a mail after 30 days", async () => {
    const { email } = await signUpConfirmed(service);
    await expectGoneAfter(30 * DAY, "mails", "recipient = $1", email);
    expect(await count("secret_tokens")).to.equal(1);
  });

  it("deletes an old mail in whatever state, once it is not tried any more", async () => {
    const { id } = await signUpConfirmed(service);
    await service.database.query("DELETE FROM mails");
    for (const state of ["queued", "sent", "failed"])
      await service.database.query(
        `INSERT INTO mails (user_id, template, recipient, state, give_up_at)
         VALUES ($1, 'password-changed', 'a@example.com', $2, now() + interval '40 d')`,
        id,
        state,
      );
    await expectGoneAfter(40 * DAY, "mails", "true");
  });

  it("deletes a signing key 30 days after it was retired", async () => {
    const [first = ""] = kidsOf(service);
    await service.app.signingKeys.rotate({ atOnce: true });
    await service.app.signingKeys.retire(first);
    await expectGoneAfter(30 * DAY, "keys", "id = $1", first);
  });

  it("deletes no other key, and no signing key in use", async () => {
    const others = "purpose <> 'sign_access'";
    const keys = await count("keys");
    await service.database.query(`UPDATE keys SET retire_at = now() - interval '1 year' WHERE ${others}`);
    await leapAndCleanUp(YEAR);
    expect(await count("keys", others)).to.equal(keys - 1);
    expect(await count("keys")).to.equal(keys);
  });

  it("deletes a service key 90 days after it was revoked or expired, and its name can be given again", async () => {
    const expires = new Date(Date.now() + DAY);
    const [revoked, expired, good] = [
      await issueKey(service, ["watch"]),
      await issueKey(service, ["watch"], expires),
      await issueKey(service, ["watch"]),
    ];
    const operator = createServiceKeyOperator(service.app);
    const [{ name } = { name: "" }] = (await operator.list()).serviceKeys.filter(({ id }) => id === revoked.id);
    expect(await operator.revoke(revoked.id)).to.equal(true);
    await expectGoneAfter(90 * DAY, "service_keys", "id = $1", revoked.id);
    await expectGoneAfter(DAY - MINUTE, "service_keys", "id = $1", expired.id);
    expect(await count("service_keys", "id = $1", good.id)).to.equal(1);
    expect(await operator.create(name, ["watch"], undefined)).to.have.property("key");
  });

  it("keeps a session that lives, however old, and an account that is confirmed or has signed in", async () => {
    await service.stop();
    const lifetimes = { sessionMaxAge: 9 * YEAR, refreshTokenTtl: 9 * YEAR };
    service = await startService({ config: { ...lifetimes, emailConfirmation: "optional" } });
    const person = newPerson();
    const { tokens } = await service.auth.signUp(person);
    await leapAndCleanUp(8 * YEAR);
    const { refreshToken } = await refresh(service, tokens?.refreshToken ?? "");
    await service.auth.signOut({ refreshToken });
    await leapAndCleanUp(YEAR);
    expect([await count("sessions"), await count("users")]).to.deep.equal([0, 1]);
  });

  it("deletes an account that nobody confirmed after 7 days, which frees both names", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    await readMail(service, person.email);
    await expectGoneAfter(7 * DAY, "users", "email = $1", person.email);
    expect([await count("secret_tokens"), await count("mails")]).to.deep.equal([0, 0]);
    await service.auth.signUp(person);
  });

  it("keeps an account as long as a link to it works, and the one that it confirms", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    await passTime(service, 7 * DAY - MINUTE);
    await service.auth.requestEmailConfirmation({ email: person.email });
    await leapAndCleanUp(DAY - MINUTE);
    const { token } = await readMail(service, person.email, 2);
    await service.auth.confirmEmail({ token });
    await leapAndCleanUp(YEAR);
    expect(await count("users")).to.equal(1);
  });

  it("keeps an account that an admin blocked or gave a role, and no other that an admin made", async () => {
    const admin = await signInAdmin(service);
    const make = async (roles: string[]) => {
      const { user } = await service.admin.createUser({ ...newPerson(), roles, emailConfirmed: false }, admin.options);
      return user?.id ?? 0n;
    };
    const [blocked, supporter, plain] = [await make([]), await make(["support"]), await make([])];
    await service.admin.setUserActive({ userId: blocked, isActive: false }, admin.options);
    await leapAndCleanUp(YEAR);
    const users = await service.database.query<{ id: string }>("SELECT id FROM users ORDER BY id");
    expect(users.map(({ id }) => BigInt(id))).to.deep.equal([admin.id, blocked, supporter]);
    expect(plain > supporter).to.equal(true);
  });

  it("passes over an account that somebody holds, and takes it the next time", async () => {
    const people = [newPerson(), newPerson()];
    for (const person of people) await service.auth.signUp(person);
    await passTime(service, 8 * DAY);
    const held = `email = '${people[0]?.email}'`;
    const lock = await holdLock(service, `SELECT 1 FROM users WHERE ${held} FOR NO KEY UPDATE`);
    expect((await service.app.cleanUp()).deleted.users).to.equal(1);
    expect(await count("users", held)).to.equal(1);
    await lock.release();
    expect((await service.app.cleanUp()).deleted.users).to.equal(1);
  });
});
