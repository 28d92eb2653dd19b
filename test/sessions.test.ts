import { expect } from "chai";
import { SignOutScope } from "../gen/auth/v1/session_pb.ts";
import { bearer, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, countLive, refresh, storedSession } from "./support/tokens.ts";

const DAY = 86_400_000;

describe("sessions", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  /** Somebody who is signed in that many times; the oldest session first. */
  async function signInTimes(count: number) {
    const person = await signUpConfirmed(service);
    const sessions = [];
    for (let turn = 0; turn < count; turn++) sessions.push(await signIn(service, person));
    return { person, sessions };
  }

  /** Which of the sessions still take their access token and their refresh token. */
  async function working(sessions: readonly { readonly accessToken: string; readonly refreshToken: string }[]) {
    const works = [];
    for (const { accessToken, refreshToken } of sessions) {
      const bearerRefusal = await refusalOf(service.auth.listSessions({}, bearer(accessToken)));
      const refreshRefusal = await refusalOf(service.auth.refreshToken({ refreshToken }));
      expect(bearerRefusal).to.equal(refreshRefusal).and.be.oneOf(["", "INVALID_TOKEN"]);
      works.push(bearerRefusal === "");
    }
    return works;
  }

  it("are listed newest first, each with its device, and the one that asks is marked", async () => {
    const person = await signUpConfirmed(service);
    const { username: login, password } = person;
    await service.auth.signIn({ login, password, deviceName: "Ada's phone" });
    const own = await signIn(service, person);
    const { sessions } = await service.auth.listSessions({}, own.options);
    expect(sessions.map(({ deviceName, current, address }) => ({ deviceName, current, address }))).to.deep.equal([
      { deviceName: "", current: true, address: "127.0.0.1" },
      { deviceName: "Ada's phone", current: false, address: "127.0.0.1" },
    ]);
    const { user, session } = await service.auth.getMe({}, own.options);
    expect(user?.id).to.equal(person.id);
    expect(session).to.deep.equal(sessions[0]);
    expect(session?.id).to.equal(claimsOf(own).sid);
  });

  it("tell when they were made, last used and will end", async () => {
    const { sessions } = await signInTimes(1);
    const made = claimsOf(sessions[0] ?? { accessToken: "" }).iat;
    await passTime(service, DAY);
    const { accessToken } = await refresh(service, sessions[0]?.refreshToken ?? "");
    const { session } = await service.auth.getMe({}, bearer(accessToken));
    expect(Number(session?.createTime?.seconds)).to.be.closeTo(made, 1);
    expect(Number(session?.lastUseTime?.seconds)).to.be.closeTo(claimsOf({ accessToken }).iat, 1);
    expect(Number(session?.expireTime?.seconds)).to.be.closeTo(claimsOf({ accessToken }).iat + 30 * 86_400, 1);
  });

  it("that were ended or have idled too long are not listed", async () => {
    const { person, sessions } = await signInTimes(2);
    await service.auth.signOut({ refreshToken: sessions[0]?.refreshToken ?? "" });
    await passTime(service, 30 * DAY);
    const own = await signIn(service, person);
    const listed = (await service.auth.listSessions({}, own.options)).sessions;
    expect(listed.map(({ id }) => id)).to.deep.equal([claimsOf(own).sid]);
  });

  it("are revoked by their user one at a time, the current one too", async () => {
    const { sessions } = await signInTimes(3);
    const [first, second, third] = sessions;
    if (!first || !second || !third) throw new Error("three were signed in");
    await service.auth.revokeSession({ sessionId: claimsOf(first).sid }, third.options);
    expect(await working(sessions)).to.deep.equal([false, true, true]);
    await service.auth.revokeSession({ sessionId: claimsOf(third).sid.toUpperCase() }, third.options);
    expect(await working(sessions.slice(1, 2))).to.deep.equal([true]);
    expect(await refusalOf(service.auth.getMe({}, third.options))).to.equal("INVALID_TOKEN");
    expect((await storedSession(service, third)).endReason).to.equal("revoked");
  });

  it("of other people, ended or never made are alike not found, and a malformed id is an argument", async () => {
    const { sessions: own } = await signInTimes(2);
    const { sessions: others } = await signInTimes(1);
    const options = own[0]?.options;
    const revoke = (sessionId: string) => refusalOf(service.auth.revokeSession({ sessionId }, options));
    await service.auth.signOut({ refreshToken: own[1]?.refreshToken ?? "" });
    const ids = [...others, ...own.slice(1)].map((tokens) => claimsOf(tokens).sid);
    for (const id of [...ids, "00000000-0000-4000-8000-000000000000"])
      expect(await revoke(id)).to.equal("SESSION_NOT_FOUND");
    for (const id of ["", "1", `${ids[0]} `]) expect(await revoke(id)).to.equal("INVALID_ARGUMENT");
    expect(await working(others)).to.deep.equal([true]);
  });

  for (const { name, left } of [
    { name: "UNSPECIFIED" as const, left: [true, false, true] },
    { name: "SESSION" as const, left: [true, false, true] },
    { name: "OTHERS" as const, left: [false, true, false] },
    { name: "ALL" as const, left: [false, false, false] },
  ]) {
    const scope = SignOutScope[name];
    for (const by of ["refresh token", "bearer"]) {
      it(`end by a sign-out of ${name} with a ${by}, and only those`, async () => {
        const { sessions } = await signInTimes(3);
        const { sessions: others } = await signInTimes(1);
        const { refreshToken = "", options } = sessions[1] ?? {};
        const call =
          by === "bearer" ? service.auth.signOut({ scope }, options) : service.auth.signOut({ refreshToken, scope });
        expect((await call).signedOut).to.equal(true);
        expect(await working(sessions)).to.deep.equal(left);
        expect(await working(others)).to.deep.equal([true]);
      });
    }
  }

  it("end by any refresh token they ever had", async () => {
    const { sessions } = await signInTimes(1);
    const first = sessions[0]?.refreshToken ?? "";
    const second = await refresh(service, first);
    await refresh(service, second.refreshToken);
    expect((await service.auth.signOut({ refreshToken: first })).signedOut).to.equal(true);
    expect(await working([second])).to.deep.equal([false]);
  });

  it("have nothing to end at a second sign-out, whatever its scope", async () => {
    const { sessions } = await signInTimes(2);
    const { refreshToken = "" } = sessions[0] ?? {};
    await service.auth.signOut({ refreshToken });
    for (const scope of [SignOutScope.SESSION, SignOutScope.OTHERS, SignOutScope.ALL])
      expect((await service.auth.signOut({ refreshToken, scope })).signedOut).to.equal(false);
    expect(await working(sessions.slice(1))).to.deep.equal([true]);
  });

  it("end by the refresh token rather than by the bearer when a sign-out carries both", async () => {
    const { sessions } = await signInTimes(2);
    await service.auth.signOut({ refreshToken: sessions[0]?.refreshToken ?? "" }, sessions[1]?.options);
    expect(await working(sessions)).to.deep.equal([false, true]);
    expect((await service.auth.signOut({ refreshToken: "junk" }, sessions[1]?.options)).signedOut).to.equal(false);
    expect((await service.auth.signOut({}, bearer("junk"))).signedOut).to.equal(false);
    expect((await service.auth.signOut({})).signedOut).to.equal(false);
    expect(await working(sessions.slice(1))).to.deep.equal([true]);
  });

  it("are at most a hundred: the next sign-in ends the oldest, at once", async () => {
    const { person, sessions } = await signInTimes(102);
    expect(await countLive(service, person.id)).to.equal(100);
    expect(await working(sessions.slice(0, 4))).to.deep.equal([false, false, true, true]);
    expect((await storedSession(service, sessions[0] ?? { accessToken: "" })).endReason).to.equal("surplus");
    const { sessions: listed } = await service.auth.listSessions({}, sessions[101]?.options);
    expect(listed).to.have.length(100);
  });

  it("that nobody has used for too long do not count among the hundred", async () => {
    const { person, sessions } = await signInTimes(101);
    const first = sessions.at(-100);
    await service.database.query(
      "UPDATE sessions SET idle_expires_at = now() WHERE user_id = $1 AND id <> $2",
      person.id,
      claimsOf(first ?? { accessToken: "" }).sid,
    );
    await signIn(service, person);
    expect((await storedSession(service, first ?? { accessToken: "" })).ended).to.equal(false);
  });

  it("end when an admin revokes them, blocks the account or takes a role away, not when a role is granted", async () => {
    const admin = await signInAdmin(service);
    const { person, sessions } = await signInTimes(2);
    const userId = person.id;
    await service.admin.setUserRoles({ userId, roles: ["editor"] }, admin.options);
    expect(await working(sessions)).to.deep.equal([true, true]);
    await service.admin.setUserRoles({ userId, roles: ["author"] }, admin.options);
    expect(await working(sessions)).to.deep.equal([false, false]);

    const second = [await signIn(service, person), await signIn(service, person)];
    expect((await service.admin.revokeUserSessions({ userId }, admin.options)).revokedSessions).to.equal(2);
    expect(await working(second)).to.deep.equal([false, false]);
    expect((await service.admin.revokeUserSessions({ userId }, admin.options)).revokedSessions).to.equal(0);

    const third = [await signIn(service, person)];
    await service.admin.setUserActive({ userId, isActive: false }, admin.options);
    expect(await working(third)).to.deep.equal([false]);
    await service.admin.setUserActive({ userId, isActive: true }, admin.options);
    expect(await working([...second, ...third])).to.deep.equal([false, false, false]);
    expect(await working([await signIn(service, person)])).to.deep.equal([true]);
  });
});
