import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect } from "chai";
import { now } from "../src/clock.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, refresh } from "./support/tokens.ts";

const MINUTE = 60_000;
const NOBODY = { userId: 4_711_000n };

describe("an admin", () => {
  let service: TestService;
  let admin: Awaited<ReturnType<typeof signInAdmin>>;
  before(async () => {
    service = await startService();
    admin = await signInAdmin(service);
  });
  after(() => service.stop());

  const attempt = (login: string, password = PASSWORD) => refusalOf(service.auth.signIn({ login, password }));
  const getUser = async (userId: bigint) => (await service.admin.getUser({ userId }, admin.options)).user;
  const setActive = (request: Parameters<TestService["admin"]["setUserActive"]>[0]) =>
    service.admin.setUserActive(request, admin.options);
  const setRoles = (userId: bigint, roles: string[]) => service.admin.setUserRoles({ userId, roles }, admin.options);

  it("sees an account as its user does", async () => {
    const person = await signUpConfirmed(service);
    const { user, options } = await signIn(service, person);
    expect(await getUser(person.id)).to.deep.equal(user);
    expect((await service.auth.getMe({}, options)).user).to.deep.equal(user);
  });

  it("is told when there is no such account, or could not be one", async () => {
    for (const call of [service.admin.getUser, service.admin.setUserRoles, service.admin.revokeUserSessions]) {
      expect(await refusalOf(call(NOBODY, admin.options))).to.equal("USER_NOT_FOUND");
      expect(await faultsOf(call({}, admin.options))).to.deep.equal({ user_id: "REQUIRED" });
      for (const userId of [-1n, 2n ** 53n, 2n ** 63n - 1n]) {
        expect(await faultsOf(call({ userId }, admin.options))).to.deep.equal({ user_id: "OUT_OF_RANGE" });
      }
    }
    for (const isActive of [true, false]) {
      expect(await refusalOf(setActive({ ...NOBODY, isActive }))).to.equal("USER_NOT_FOUND");
    }
  });

  it("makes an account that is mailed a confirmation", async () => {
    const person = newPerson();
    const { user } = await service.admin.createUser({ ...person, locale: "de", roles: ["b", "a", "b"] }, admin.options);
    expect(user).to.include({ username: person.username, emailConfirmed: false, isActive: true, locale: "de" });
    expect(user?.roles).to.deep.equal(["a", "b"]);
    expect(await attempt(person.email)).to.equal("EMAIL_NOT_CONFIRMED");
    await service.auth.confirmEmail({ token: (await readMail(service, person.email)).token });
    expect(await attempt(person.email)).to.equal("");
  });

  it("makes a confirmed account that can sign in at once and is mailed nothing", async () => {
    const person = newPerson();
    const { user } = await service.admin.createUser({ ...person, emailConfirmed: true }, admin.options);
    expect(user?.emailConfirmed).to.equal(true);
    expect(await attempt(person.username)).to.equal("");
    expect(await mailedTo(service, person.email)).to.deep.equal([]);
  });

  it("is told of names that are taken and of all faulty fields of a new account", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    const create = (request: object) => service.admin.createUser({ ...newPerson(), ...request }, admin.options);
    expect(await refusalOf(create(person))).to.equal("EMAIL_TAKEN");
    expect(await refusalOf(create({ username: person.username }))).to.equal("USERNAME_TAKEN");
    expect(await mailedTo(service, person.email)).to.have.length(1);
    const faulty = { username: "a", email: "a@", password: "password123", locale: "?", roles: ["Admin"] };
    expect(await faultsOf(create(faulty))).to.deep.equal({
      username: "TOO_SHORT",
      email: "MALFORMED",
      password: "PASSWORD_TOO_COMMON",
      locale: "MALFORMED",
      roles: "MALFORMED",
    });
  });

  it("blocks an account, whose sessions end with it, and unblocks it without bringing them back", async () => {
    const person = await signUpConfirmed(service);
    const session = await signIn(service, person);
    const { user } = await setActive({ userId: person.id, isActive: false, reason: "spam" });
    expect(user?.isActive).to.equal(false);
    expect(await refusalOf(service.auth.getMe({}, session.options))).to.equal("INVALID_TOKEN");
    expect(await refusalOf(refresh(service, session.refreshToken))).to.equal("INVALID_TOKEN");
    expect(await attempt(person.email)).to.equal("USER_BLOCKED");

    expect((await setActive({ userId: person.id, isActive: true })).user?.isActive).to.equal(true);
    expect(await refusalOf(service.auth.getMe({}, session.options))).to.equal("INVALID_TOKEN");
    expect(await refusalOf(refresh(service, session.refreshToken))).to.equal("INVALID_TOKEN");
    expect(await attempt(person.email)).to.equal("");
  });

  it("blocks for a time, after which the account is as it was", async () => {
    const person = await signUpConfirmed(service);
    const untilTime = timestampFromMs(now(service.clock) + 10 * MINUTE);
    expect((await setActive({ userId: person.id, isActive: false, untilTime })).user?.isActive).to.equal(false);
    await passTime(service, 9 * MINUTE);
    expect(await attempt(person.email)).to.equal("USER_BLOCKED");
    await passTime(service, MINUTE);
    expect(await attempt(person.email)).to.equal("");
    expect((await getUser(person.id))?.isActive).to.equal(true);
  });

  it("makes a block for a time one without end, and the other way round", async () => {
    const { id: userId, email } = await signUpConfirmed(service);
    const soon = () => timestampFromMs(now(service.clock) + MINUTE);
    await setActive({ userId, isActive: false, untilTime: soon() });
    await setActive({ userId, isActive: false });
    await passTime(service, 2 * MINUTE);
    expect(await attempt(email)).to.equal("USER_BLOCKED");
    await setActive({ userId, isActive: false, untilTime: soon() });
    await passTime(service, 2 * MINUTE);
    expect(await attempt(email)).to.equal("");
  });

  it("must say whether it is a block, and may give its end and reason only with one", async () => {
    const { id: userId } = await signUpConfirmed(service);
    const later = timestampFromMs(now(service.clock) + MINUTE);
    const past = timestampFromMs(now(service.clock) - 1);
    const reason = "x".repeat(501);
    expect(await faultsOf(setActive({ userId }))).to.deep.equal({ is_active: "REQUIRED" });
    expect(await faultsOf(setActive({ userId, isActive: true, reason: "x", untilTime: later }))).to.deep.equal({
      reason: "MALFORMED",
      until_time: "MALFORMED",
    });
    for (const untilTime of [past, { seconds: 10n ** 17n, nanos: 0 }, { seconds: 253_402_300_800n, nanos: 0 }]) {
      expect(await faultsOf(setActive({ userId, isActive: false, reason, untilTime }))).to.deep.equal({
        reason: "TOO_LONG",
        until_time: "OUT_OF_RANGE",
      });
    }
    expect((await getUser(userId))?.isActive).to.equal(true);
  });

  it("grants a role, which ends nothing and shows on the next refresh", async () => {
    const person = await signUpConfirmed(service);
    const session = await signIn(service, person);
    expect((await setRoles(person.id, ["editor", "admin", "editor"])).user?.roles).to.deep.equal(["admin", "editor"]);
    expect((await service.auth.getMe({}, session.options)).user?.roles).to.deep.equal(["admin", "editor"]);
    expect(claimsOf(session).roles).to.deep.equal([]);
    const renewed = await refresh(service, session.refreshToken);
    expect([...claimsOf(renewed).roles].sort()).to.deep.equal(["admin", "editor"]);
  });

  it("removes a role, which ends every session of the account", async () => {
    const person = await signUpConfirmed(service);
    await setRoles(person.id, ["editor", "author"]);
    const session = await signIn(service, person);
    await setRoles(person.id, ["author", "editor"]);
    expect(await refusalOf(service.auth.getMe({}, session.options))).to.equal("");
    await setRoles(person.id, ["author", "reader"]);
    expect(await refusalOf(service.auth.getMe({}, session.options))).to.equal("INVALID_TOKEN");
    expect(await refusalOf(refresh(service, session.refreshToken))).to.equal("INVALID_TOKEN");
    expect(claimsOf(await signIn(service, person)).roles).to.have.members(["author", "reader"]);
  });

  it("gives no role that is no name of one, and no seventeenth", async () => {
    const { id } = await signUpConfirmed(service);
    for (const role of ["", "Admin", "1st", "a b", "a,b", "ädmin", "x".repeat(33), "a\0"]) {
      expect(await faultsOf(setRoles(id, [role])), role).to.deep.equal({ roles: "MALFORMED" });
    }
    const many = Array.from({ length: 17 }, (_, i) => `role${i}`);
    expect(await faultsOf(setRoles(id, many))).to.deep.equal({ roles: "TOO_LONG" });
    const longest = ["x".repeat(32), "a-_9"];
    expect((await setRoles(id, longest)).user?.roles).to.have.members(longest);
  });

  it("ends every session of an account and is told how many", async () => {
    const person = await signUpConfirmed(service);
    const sessions = [await signIn(service, person), await signIn(service, person)];
    const revoke = () => service.admin.revokeUserSessions({ userId: person.id }, admin.options);
    expect((await revoke()).revokedSessions).to.equal(2);
    for (const { options } of sessions) {
      expect(await refusalOf(service.auth.getMe({}, options))).to.equal("INVALID_TOKEN");
    }
    expect((await revoke()).revokedSessions).to.equal(0);
    expect(await attempt(person.email)).to.equal("");
  });
});
