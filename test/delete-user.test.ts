import { expect } from "chai";
import { hashesOf, SLOW_HASH } from "./support/hashes.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { claimsOf, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

describe("the deletion of an account", () => {
  let service: TestService;
  let admin: Awaited<ReturnType<typeof signInAdmin>>;
  before(async () => {
    service = await startService();
    admin = await signInAdmin(service);
  });
  after(() => service.stop());

  const remove = (userId: bigint, by = admin) => refusalOf(service.admin.deleteUser({ userId }, by.options));
  const signInWith = (login: string) => refusalOf(service.auth.signIn({ login, password: PASSWORD }));

  /** How many rows of each table are of an account; revocations are of its sessions. */
  const rowsOf = (id: bigint, sessionIds: readonly string[] = []) =>
    service.database.query(
      `SELECT (SELECT count(*)::int FROM users WHERE id = $1) AS users, (SELECT count(*)::int FROM sessions WHERE user_id = $1) AS sessions,
         (SELECT count(*)::int FROM secret_tokens WHERE user_id = $1) AS tokens, (SELECT count(*)::int FROM mails WHERE user_id = $1) AS mails,
         (SELECT count(*)::int FROM revocations WHERE session_id = ANY ($2::uuid[])) AS revocations`,
      ...[id, sessionIds],
    );

  it("takes its sessions, tokens and mails with it, and leaves a revocation of each session", async () => {
    const person = await signUpConfirmed(service);
    const sessions = [await signIn(service, person), await signIn(service, person)];
    await service.auth.requestPasswordReset({ email: person.email });
    const ids = sessions.map((session) => claimsOf(session).sid);
    expect(await rowsOf(person.id, ids)).to.deep.equal([
      { users: 1, sessions: 2, tokens: 2, mails: 2, revocations: 0 },
    ]);
    expect(await remove(person.id)).to.equal("");
    expect(await rowsOf(person.id, ids)).to.deep.equal([
      { users: 0, sessions: 0, tokens: 0, mails: 0, revocations: 2 },
    ]);
    for (const { options, refreshToken } of sessions) {
      expect(await refusalOf(service.auth.listSessions({}, options))).to.equal("INVALID_TOKEN");
      expect(await refusalOf(refresh(service, refreshToken))).to.equal("INVALID_TOKEN");
      expect((await service.auth.signOut({ refreshToken })).signedOut).to.equal(false);
    }
    expect([await signInWith(person.username), await signInWith(person.email)]).to.deep.equal(
      Array(2).fill("INVALID_CREDENTIALS"),
    );
  });

  it("leaves revocations that outlive the access tokens they name", async () => {
    const person = await signUpConfirmed(service);
    const session = await signIn(service, person);
    await remove(person.id);
    const [row] = await service.database.query<{ end: number }>(
      `SELECT extract(epoch FROM expires_at)::float8 AS "end" FROM revocations WHERE session_id = $1`,
      claimsOf(session).sid,
    );
    expect(row?.end).to.be.at.least(claimsOf(session).exp + 30);
  });

  it("makes every mailed token worthless", async () => {
    const newcomer = newPerson();
    const { user } = await service.auth.signUp(newcomer);
    const { token: link, code } = await readMail(service, newcomer.email);
    await service.auth.requestPasswordReset({ email: newcomer.email });
    const { token: reset } = await readMail(service, newcomer.email, 2);
    expect(await remove(user?.id ?? 0n)).to.equal("");
    for (const confirmation of [{ token: link }, { email: newcomer.email, code }]) {
      expect(await refusalOf(service.auth.confirmEmail(confirmation))).to.equal("INVALID_TOKEN");
    }
    const late = service.auth.resetPassword({ token: reset, newPassword: "another horse battery" });
    expect(await refusalOf(late)).to.equal("INVALID_TOKEN");
  });

  it("frees both names at once, never the id, and gives nothing of the old account to the new one", async () => {
    const person = await signUpConfirmed(service);
    const { options, refreshToken } = await signIn(service, person);
    await remove(person.id);
    const again = { username: person.username, email: person.email, password: "another horse battery" };
    const { user } = await service.auth.signUp(again);
    expect(Number(user?.id)).to.be.above(Number(person.id));
    expect(user).to.include({ emailConfirmed: false });
    expect(await refusalOf(service.auth.getMe({}, options))).to.equal("INVALID_TOKEN");
    expect(await refusalOf(refresh(service, refreshToken))).to.equal("INVALID_TOKEN");
    expect(await signInWith(person.email)).to.equal("INVALID_CREDENTIALS");
  });

  it("is refused for an account that is not there, or could not be", async () => {
    const { id } = await signUpConfirmed(service);
    expect([await remove(id), await remove(id)]).to.deep.equal(["", "USER_NOT_FOUND"]);
    expect(await remove(4_711_000n)).to.equal("USER_NOT_FOUND");
    const faults = (userId: bigint) => faultsOf(service.admin.deleteUser({ userId }, admin.options));
    expect(await faults(0n)).to.deep.equal({ user_id: "REQUIRED" });
    for (const userId of [-1n, 2n ** 53n]) expect(await faults(userId)).to.deep.equal({ user_id: "OUT_OF_RANGE" });
  });

  it("is refused for the last active admin, also beside a blocked one", async () => {
    const other = await signInAdmin(service);
    await service.admin.setUserActive({ userId: other.id, isActive: false }, admin.options);
    expect(await remove(admin.id)).to.equal("LAST_ADMIN");
    expect(await refusalOf(service.auth.getMe({}, admin.options))).to.equal("");
    expect(await remove(other.id)).to.equal("");
  });

  it("may be an admin's own deed, when there is another one", async () => {
    const other = await signInAdmin(service);
    expect(await remove(other.id, other)).to.equal("");
    expect(await remove(admin.id, other)).to.equal("INVALID_TOKEN");
    expect(await refusalOf(service.auth.getMe({}, admin.options))).to.equal("");
  });

  it("of a blocked account lets the names be signed up again", async () => {
    const person = await signUpConfirmed(service);
    await service.admin.setUserActive({ userId: person.id, isActive: false }, admin.options);
    expect(await remove(person.id)).to.equal("");
    expect(await refusalOf(service.auth.signUp({ ...newPerson(), email: person.email }))).to.equal("");
  });

  it("is one transaction: the account's row first, then its sessions, then the account", async () => {
    const person = await signUpConfirmed(service);
    await signIn(service, person);
    const words = (await statementsOf(() => remove(person.id))).map((statement) => /\w+/.exec(statement)?.[0]);
    const judged = ["SELECT", "START", "SELECT", "SELECT", "SELECT", "SELECT"];
    expect(words).to.deep.equal([...judged, "WITH", "WITH", "COMMIT"]);
  });

  it("wins over a sign-in whose password was being compared", async () => {
    const { id, username } = await signUpConfirmed(service);
    await service.database.query("UPDATE users SET password_hash = $2 WHERE id = $1", id, SLOW_HASH);
    await hashesOf(async (seen) => {
      const late = signInWith(username);
      await waitUntil(() => seen.length > 0);
      expect(await remove(id)).to.equal("");
      expect(await late).to.equal("INVALID_CREDENTIALS");
    });
  });

  it("lets whoever waits for it find no account", async () => {
    const [person, newcomer] = [await signUpConfirmed(service), newPerson()];
    const { options, refreshToken } = await signIn(service, person);
    const { user } = await service.auth.signUp(newcomer);
    const { token } = await readMail(service, newcomer.email);
    const ids = `${person.id}, ${user?.id}`;
    const lock = await holdLock(service, `SELECT 1 FROM users WHERE id IN (${ids}) FOR UPDATE`);
    const { auth } = service;
    const change = { currentPassword: PASSWORD, newPassword: "another horse battery" };
    const waiting = [
      auth.signIn({ login: person.username, password: PASSWORD }),
      auth.changePassword(change, options),
      auth.updateMe({ username: newPerson().username }, options),
      auth.confirmEmail({ token }),
      auth.requestEmailConfirmation({ email: newcomer.email }),
      auth.requestPasswordReset({ email: person.email }),
      auth.signUp({ ...newPerson(), email: newcomer.email }),
    ].map(refusalOf);
    await untilBlocked(service, waiting.length);
    await lock.query(`DELETE FROM users WHERE id IN (${ids})`);
    await lock.release();
    expect(await Promise.all(waiting)).to.deep.equal([
      ...["INVALID_CREDENTIALS", "INVALID_TOKEN", "INVALID_TOKEN", "INVALID_TOKEN", "", ""],
      "EMAIL_TAKEN",
    ]);
    expect(await refusalOf(refresh(service, refreshToken))).to.equal("INVALID_TOKEN");
  });
});
