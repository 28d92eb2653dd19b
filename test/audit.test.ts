import { expect } from "chai";
import { ServiceKeyScope } from "../gen/auth/v1/service_key_pb.ts";
import { SignOutScope } from "../gen/auth/v1/session_pb.ts";
import { createServiceKeyOperator } from "../src/rpc/service-key-operator.ts";
import { recordedBy, type Told } from "./support/audit.ts";
import { postJson } from "./support/http.ts";
import { fail, limited } from "./support/limits.ts";
import { holdLock } from "./support/locks.ts";
import {
  bearer,
  newPerson,
  PASSWORD,
  readMail,
  refusalOf,
  signIn,
  signInAdmin,
  signUpConfirmed,
} from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const WRONG = "quite another password";
const HERE = "127.0.0.1";
const ANYONE = { actor: "anyone", address: HERE } as const;

describe("the audit log", () => {
  let service: TestService;
  let root: Awaited<ReturnType<typeof signInAdmin>>;
  let byRoot: { readonly actor: string; readonly address: string };
  before(async () => {
    service = await startService();
    root = await signInAdmin(service);
    byRoot = { actor: `user:${root.id}`, address: HERE };
  });
  after(() => service.stop());

  const recorded = (run: () => Promise<unknown>) => recordedBy(service, root.options, run);
  /** Expects that what `run` does leaves exactly these events. */
  const expectRecorded = async (run: () => Promise<unknown>, ...events: Told[]) =>
    expect(await recorded(run)).to.deep.equal(events);
  const byUser = (id: bigint) => ({ userId: id, actor: `user:${id}`, address: HERE });

  it("tells of a sign-up, its confirmation, and a confirmation that was asked for again", async () => {
    const person = newPerson();
    const [made] = await recorded(() => service.auth.signUp(person));
    const userId = made?.userId ?? 0n;
    expect(made).to.deep.equal({ ...ANYONE, type: "sign_up", userId });
    const { email } = person;
    const again = () => service.auth.requestEmailConfirmation({ email });
    await expectRecorded(again, { ...ANYONE, type: "confirmation_requested", userId });
    const { token } = await readMail(service, email, 2);
    await expectRecorded(() => service.auth.confirmEmail({ token }), { ...ANYONE, type: "email_confirmed", userId });
    await expectRecorded(() => service.auth.confirmEmail({ token }));
    await expectRecorded(again, { ...ANYONE, type: "confirmation_requested", userId, reason: "ALREADY_CONFIRMED" });
    const stranger = () => service.auth.requestEmailConfirmation({ email: newPerson().email });
    await expectRecorded(stranger, { ...ANYONE, type: "confirmation_requested", reason: "USER_NOT_FOUND" });
  });

  it("tells why a sign-up was refused, and whose name it was", async () => {
    const { id: userId, email, username } = await signUpConfirmed(service);
    const type = "sign_up_refused";
    const attempt = (request: object) => () => refusalOf(service.auth.signUp({ ...newPerson(), ...request }));
    await expectRecorded(attempt({ email }), { ...ANYONE, type, reason: "EMAIL_TAKEN", userId });
    await expectRecorded(attempt({ username }), { ...ANYONE, type, reason: "USERNAME_TAKEN", userId });
    await expectRecorded(attempt({ password: "short" }), { ...ANYONE, type, reason: "INVALID_ARGUMENT" });
  });

  it("tells of a sign-in with its session and device, and of its end", async () => {
    const { username: login, id } = await signUpConfirmed(service);
    let tokens = { accessToken: "", refreshToken: "" };
    const [begun, ...more] = await recorded(async () => {
      const answer = await service.auth.signIn({ login, password: PASSWORD, deviceName: "a phone" });
      tokens = answer.tokens ?? tokens;
    });
    const sessionId = claimsOf(tokens).sid;
    const session = { userId: id, sessionId, deviceName: "a phone" };
    expect([begun, more]).to.deep.equal([{ ...ANYONE, ...session, type: "sign_in" }, []]);
    const { refreshToken, accessToken } = tokens;
    await expectRecorded(() => refresh(service, refreshToken));
    await expectRecorded(() => service.auth.getMe({}, bearer(accessToken)));
    const signOut = () => service.auth.signOut({ refreshToken });
    await expectRecorded(signOut, { ...ANYONE, ...session, type: "sign_out" });
    await expectRecorded(signOut);
  });

  it("tells why a sign-in was refused, of whose account, and never the login or password", async () => {
    const [known, blocked, unconfirmed] = [await signUpConfirmed(service), await signUpConfirmed(service), newPerson()];
    const userId = (await service.auth.signUp(unconfirmed)).user?.id ?? 0n;
    await service.database.query("UPDATE users SET is_active = false WHERE id = $1", blocked.id);
    const type = "sign_in_failed";
    const attempt = (login: string, password: string) => () =>
      refusalOf(service.auth.signIn({ login, password, deviceName: "a phone" }));
    const told = { ...ANYONE, type, deviceName: "a phone" } as const;
    const stranger = { ...told, reason: "INVALID_CREDENTIALS" };
    await expectRecorded(attempt(known.email, WRONG), { ...stranger, userId: known.id });
    await expectRecorded(attempt(newPerson().email, WRONG), stranger);
    await expectRecorded(attempt("canary as login!", WRONG), stranger);
    await expectRecorded(attempt(blocked.username, PASSWORD), { ...told, reason: "USER_BLOCKED", userId: blocked.id });
    const early = { ...told, reason: "EMAIL_NOT_CONFIRMED", userId };
    await expectRecorded(attempt(unconfirmed.username, PASSWORD), early);
    await expectRecorded(attempt("", ""), { ...ANYONE, type, reason: "INVALID_ARGUMENT" });
  });

  it("tells the same over gRPC, Connect JSON and the HTTP routes", async () => {
    const { id: userId, username: login } = await signUpConfirmed(service);
    const event = { ...ANYONE, type: "sign_in_failed", reason: "INVALID_CREDENTIALS", userId };
    const body = { login, password: WRONG };
    const calls = ["/sign-in", "/auth/login", "/api/auth/login", "/auth.v1.AuthService/SignIn"].map(
      (path) => () => postJson(service, path, body),
    );
    for (const call of [() => refusalOf(service.auth.signIn(body)), ...calls]) await expectRecorded(call, event);
  });

  it("tells of sign-ins that were out of time, on either listener", async () => {
    const body = { login: newPerson().username, password: WRONG };
    const event = { ...ANYONE, type: "sign_in_failed", reason: "DEADLINE_EXCEEDED" };
    const noted = () => service.app.auditCounts().written + service.app.auditCounts().waiting;
    const run = async () => {
      const before = noted();
      const lock = await holdLock(service, "LOCK users IN ACCESS EXCLUSIVE MODE");
      await refusalOf(service.auth.signIn(body, { timeoutMs: 300 }));
      await postJson(service, "/auth.v1.AuthService/SignIn", body, { "connect-timeout-ms": "300" });
      // A caller knows by itself that its time is over.
      await waitUntil(() => noted() === before + 2);
      await lock.release();
    };
    await expectRecorded(run, event, event);
  });

  it("tells the person's address when a gateway calls for them, and the gateway as who acts", async () => {
    const { id: userId, username: login } = await signUpConfirmed(service);
    const { id, options } = await issueKey(service, ["gateway"]);
    const headers = { ...options.headers, "x-forwarded-for": "203.0.113.9" };
    const call = () => refusalOf(service.auth.signIn({ login, password: WRONG }, { headers }));
    const event = { type: "sign_in_failed", reason: "INVALID_CREDENTIALS", userId };
    await expectRecorded(call, { ...event, actor: `key:${id}`, address: "203.0.113.9" });
    const forged = { headers: { "x-forwarded-for": "203.0.113.9" } };
    await expectRecorded(() => refusalOf(service.auth.signIn({ login, password: WRONG }, forged)), {
      ...{ ...ANYONE, ...event },
    });
  });

  it("tells of each session that its user ends from another one, and of those beyond the most", async () => {
    const person = await signUpConfirmed(service);
    const [first, second, third] = [
      await signIn(service, person),
      await signIn(service, person),
      await signIn(service, person),
    ];
    const revoke = () => service.auth.revokeSession({ sessionId: claimsOf(first).sid }, second.options);
    const owner = byUser(person.id);
    await expectRecorded(revoke, { ...owner, type: "session_revoked", sessionId: claimsOf(first).sid });
    const elsewhere = { ...owner, type: "permission_denied", reason: "SESSION_NOT_FOUND" };
    await expectRecorded(() => refusalOf(revoke()), { ...elsewhere, sessionId: claimsOf(second).sid });
    const scope = SignOutScope.OTHERS;
    const signedOut = { ...owner, type: "sign_out", sessionId: claimsOf(third).sid };
    await expectRecorded(() => service.auth.signOut({ scope }, second.options), signedOut);

    await service.database.query(
      `INSERT INTO sessions (user_id, rotates, idle_expires_at, expires_at, access_expires_at)
       SELECT $1, true, now() + interval '1 d', now() + interval '1 d', now() FROM generate_series(1, 99)`,
      person.id,
    );
    const events = await recorded(() => signIn(service, person));
    expect(events.map(({ type, reason }) => [type, reason])).to.have.deep.members([
      ["sign_in", undefined],
      ["session_revoked", "SURPLUS"],
    ]);
    const surplus = events.find(({ type }) => type === "session_revoked");
    expect(surplus).to.deep.include({ userId: person.id, sessionId: claimsOf(second).sid });
  });

  it("tells once of a refresh token that was used again, and of a token that is none", async () => {
    const session = await signIn(service, await signUpConfirmed(service));
    const sessionId = claimsOf(session).sid;
    await refresh(service, session.refreshToken);
    await passTime(service, 31_000);
    const replay = async () =>
      expect(await refusalOf(refresh(service, session.refreshToken))).to.equal("INVALID_TOKEN");
    const userId = session.user.id;
    const reused = { ...ANYONE, type: "refresh_token_reused", reason: "INVALID_TOKEN" };
    await expectRecorded(replay, { ...reused, userId, sessionId });
    const refused = { ...ANYONE, type: "token_refused", reason: "INVALID_TOKEN" };
    await expectRecorded(replay, { ...refused, sessionId });
    await expectRecorded(() => refusalOf(refresh(service, "junk")), refused);
    await expectRecorded(() => refusalOf(service.auth.getMe({}, bearer("junk"))), refused);
    await expectRecorded(() => refusalOf(service.auth.getMe({}, session.options)), refused);
    await expectRecorded(() => service.auth.signOut({ refreshToken: "junk" }));
  });

  it("tells of a reset from the request to the new password, and of refused tokens and codes", async () => {
    const { id: userId, email } = await signUpConfirmed(service);
    const request = { ...ANYONE, type: "password_reset_requested" };
    await expectRecorded(() => service.auth.requestPasswordReset({ email }), { ...request, userId });
    const stranger = () => service.auth.requestPasswordReset({ email: newPerson().email });
    await expectRecorded(stranger, { ...request, reason: "USER_NOT_FOUND" });
    const { token } = await readMail(service, email, 2);
    const failure = { ...ANYONE, type: "password_reset_failed" };
    const reset = (newPassword: string) => service.auth.resetPassword({ token, newPassword });
    await expectRecorded(() => refusalOf(reset("short")), { ...failure, reason: "INVALID_ARGUMENT", userId });
    await expectRecorded(() => reset(WRONG), { ...ANYONE, type: "password_reset", userId });
    await expectRecorded(() => refusalOf(reset(WRONG)), { ...failure, reason: "INVALID_TOKEN" });
    const guess = () => refusalOf(service.auth.confirmEmail({ email, code: "000000" }));
    await expectRecorded(guess, { ...ANYONE, type: "email_confirmation_failed", reason: "INVALID_TOKEN" });
  });

  it("tells of what people change on their own account", async () => {
    const person = await signUpConfirmed(service);
    const session = await signIn(service, person);
    const event = { ...byUser(person.id), sessionId: claimsOf(session).sid };
    const { options } = session;
    const change = (currentPassword: string, newPassword = WRONG) =>
      service.auth.changePassword({ currentPassword, newPassword }, options);
    const failed = { ...event, type: "password_change_failed" };
    await expectRecorded(() => refusalOf(change(WRONG)), { ...failed, reason: "INVALID_CREDENTIALS" });
    await expectRecorded(() => refusalOf(change(PASSWORD, "short")), { ...failed, reason: "INVALID_ARGUMENT" });
    await expectRecorded(() => change(PASSWORD), { ...event, type: "password_changed" });
    const nobody = () => refusalOf(service.auth.changePassword({ currentPassword: PASSWORD, newPassword: WRONG }));
    await expectRecorded(nobody, { ...ANYONE, type: "token_refused", reason: "INVALID_TOKEN" });
    const updated = { ...event, type: "account_updated" };
    const username = newPerson().username;
    const both = () => service.auth.updateMe({ username, locale: "de" }, options);
    await expectRecorded(both, { ...updated, detail: "username, locale" });
    await expectRecorded(() => service.auth.updateMe({ locale: "fr" }, options), { ...updated, detail: "locale" });
    await expectRecorded(() => service.auth.updateMe({}, options));
  });

  it("tells of what admins do to accounts, once each, and of what they may not do", async () => {
    const { admin } = service;
    const { options } = root;
    const roles = ["auditor", "support"];
    const [made] = await recorded(() => admin.createUser({ ...newPerson(), roles, emailConfirmed: true }, options));
    const userId = made?.userId ?? 0n;
    expect(made).to.deep.equal({ ...byRoot, type: "user_created", userId, detail: "auditor, support" });
    const about = { ...byRoot, userId };
    const setRoles = (names: string[]) => () => admin.setUserRoles({ userId, roles: names }, options);
    await expectRecorded(setRoles(["support"]), { ...about, type: "roles_changed", detail: "support" });
    await expectRecorded(setRoles([]), { ...about, type: "roles_changed" });
    const setActive =
      (isActive: boolean, reason = "") =>
      () =>
        admin.setUserActive({ userId, isActive, reason }, options);
    await expectRecorded(setActive(false, "spam"), { ...about, type: "user_blocked", detail: "spam" });
    await expectRecorded(setActive(true), { ...about, type: "user_unblocked" });
    await expectRecorded(() => admin.deleteUser({ userId }, options), { ...about, type: "user_deleted" });

    const person = await signUpConfirmed(service);
    await signIn(service, person);
    await signIn(service, person);
    const revoke = () => admin.revokeUserSessions({ userId: person.id }, options);
    await expectRecorded(revoke, { ...byRoot, type: "sessions_revoked", userId: person.id, count: 2 });
    await expectRecorded(revoke);

    const last = { ...byRoot, type: "permission_denied", reason: "LAST_ADMIN", userId: root.id };
    const demotion = () => refusalOf(admin.setUserRoles({ userId: root.id, roles: [] }, options));
    await expectRecorded(demotion, { ...last, sessionId: claimsOf(root).sid });
    const user = await signIn(service, person);
    const denied = { ...byUser(person.id), type: "permission_denied", reason: "PERMISSION_DENIED" };
    const attempt = () => refusalOf(admin.listUsers({}, user.options));
    await expectRecorded(attempt, { ...denied, sessionId: claimsOf(user).sid });
  });

  it("tells of service keys, by their ids: made, refused for a call, for what they are, and revoked", async () => {
    const { admin } = service;
    const name = newPerson().username;
    const scopes = [ServiceKeyScope.INTROSPECT];
    let made = { id: "", key: "" };
    const [created] = await recorded(async () => {
      const { serviceKey, key } = await admin.createServiceKey({ name, scopes }, root.options);
      made = { id: serviceKey?.id ?? "", key };
    });
    const detail = made.id;
    const whole = `${detail} ${name}`;
    expect(created).to.deep.equal({ ...byRoot, type: "service_key_created", detail: whole });
    const { options } = { options: bearer(made.key) };
    await expectRecorded(() => tokenClient(service).introspectToken({ token: "junk" }, options));
    const denied = { type: "permission_denied", reason: "PERMISSION_DENIED", actor: `key:${detail}`, address: HERE };
    await expectRecorded(() => refusalOf(admin.listUsers({}, options)), denied);
    await expectRecorded(() => admin.revokeServiceKey({ serviceKeyId: detail }, root.options), {
      ...{ ...byRoot, type: "service_key_revoked", detail: whole },
    });
    await expectRecorded(() => admin.revokeServiceKey({ serviceKeyId: detail }, root.options));
    const refused = { ...ANYONE, type: "service_key_refused", reason: "INVALID_TOKEN" };
    const { username: login } = newPerson();
    await expectRecorded(() => refusalOf(admin.listUsers({}, options)), { ...refused, detail });
    await expectRecorded(() => refusalOf(service.auth.signIn({ login, password: PASSWORD }, options)), {
      ...{ ...refused, detail },
    });
    for (const authorization of ["Bearer lk_junk", "Basic YTpi"])
      await expectRecorded(() => refusalOf(admin.listUsers({}, { headers: { authorization } })), refused);
    const beside = { headers: { ...(await issueKey(service, ["admin"])).options.headers, "x-latchkey-key": made.key } };
    await expectRecorded(() => refusalOf(admin.listUsers({}, beside)), { ...refused, detail });
  });

  it("tells of signing keys, and of the operator as cli", async () => {
    const { app } = service;
    const [created] = await recorded(() => app.signingKeys.rotate({ atOnce: false }));
    const detail = app.signingKeys.list().at(-1)?.kid ?? "";
    expect(created).to.deep.equal({ type: "signing_key_created", actor: "cli", detail });
    const retired = { type: "signing_key_retired", actor: "cli", detail };
    await expectRecorded(() => app.signingKeys.retire(detail), retired);
    const [key] = await recorded(() =>
      createServiceKeyOperator(app).create(newPerson().username, ["watch"], undefined),
    );
    expect(key).to.deep.include({ type: "service_key_created", actor: "cli" });
    const [first] = await service.database.query<{ actor: string }>(
      "SELECT actor FROM audit_events WHERE type = 'signing_key_created' ORDER BY id LIMIT 1",
    );
    expect(first).to.deep.equal({ actor: "service" });
  });

  it("keeps nothing of a change that is undone", async () => {
    const person = await signUpConfirmed(service);
    await service.database.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'`,
    );
    await service.database.query(
      "CREATE TRIGGER refuse BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    await signIn(service, person);
    const block = () => refusalOf(service.admin.setUserActive({ userId: person.id, isActive: false }, root.options));
    try {
      await expectRecorded(async () => expect(await block()).to.equal("INTERNAL"));
    } finally {
      await service.database.query("DROP TRIGGER refuse ON sessions");
    }
  });
});

describe("the audit log of a service with limits", () => {
  let service: TestService;
  let options: { headers: Record<string, string> };
  before(async () => {
    service = await startService({ config: limited({ MAIL_BURST_PER_RECIPIENT: "2/1m" }) });
    ({ options } = await issueKey(service, ["admin"]));
  });
  after(() => service.stop());

  it("tells of each password that was refused unread, and of a mail that was not sent", async () => {
    const { id: userId, username: login, email } = await signUpConfirmed(service);
    const wrong = { ...ANYONE, type: "sign_in_failed", reason: "INVALID_CREDENTIALS", userId };
    const unread = { ...ANYONE, type: "sign_in_failed", reason: "RATE_LIMITED" };
    expect(await recordedBy(service, options, () => fail(service, login, 6))).to.deep.equal([
      ...Array(5).fill(wrong),
      unread,
    ]);
    const request = { ...ANYONE, type: "password_reset_requested", userId };
    const ask = () => service.auth.requestPasswordReset({ email });
    expect(await recordedBy(service, options, ask)).to.deep.equal([request]);
    expect(await recordedBy(service, options, ask)).to.deep.equal([{ ...request, reason: "RATE_LIMITED" }]);
  });

  it("tells of other calls that are over a limit", async () => {
    const headers = { ...(await issueKey(service, ["gateway"])).options.headers, "x-forwarded-for": "203.0.113.9" };
    const ask = (count: number) =>
      Promise.all(
        Array.from({ length: count }, () =>
          refusalOf(service.auth.requestPasswordReset({ email: newPerson().email }, { headers })),
        ),
      );
    await ask(20);
    const [event] = await recordedBy(service, options, () => ask(1));
    expect(event).to.deep.include({ type: "rate_limited", reason: "RATE_LIMITED", address: "203.0.113.9" });
  });
});
