import { spawnSync } from "node:child_process";
import { inspect } from "node:util";
import { expect } from "chai";
import { ServiceKeyScope } from "../gen/auth/v1/service_key_pb.ts";
import type { Tokens } from "../gen/auth/v1/session_pb.ts";
import { SignOutScope } from "../gen/auth/v1/session_pb.ts";
import { createKeyWrapping } from "../src/auth/key-wrapping.ts";
import { loadKeys } from "../src/auth/keys.ts";
import { createDatabase } from "../src/db/database.ts";
import { messageOf } from "../src/failure.ts";
import { describeError } from "../src/log.ts";
import { createSecret } from "../src/secret.ts";
import { createPrometheus } from "../src/server/prometheus.ts";
import { INSIDE } from "./support/cases.ts";
import { postForm, postJson, send } from "./support/http.ts";
import { bearer, newPerson, PASSWORD, readMail, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { describeRefusal, errorOf } from "./support/refusals.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { tokenClient } from "./support/service-keys.ts";

type Call = () => Promise<unknown>;

describe("secrets", () => {
  let service: TestService;
  const secrets = new Map<string, string>();
  const answers: string[] = [];
  const told: string[] = [];
  const metrics = createPrometheus();
  before(async () => {
    service = await startService({ config: { debug: true, logLevel: "debug" }, metrics });
    secrets.set("SECRET_KEY", SECRET_KEY);
    await noteKeys();
    await useEverything();
    await failEverything();
    await breakEverything();
  });
  after(() => service.stop());

  it("stay out of every line of the log", () => {
    expect(service.lines.length).to.be.above(100);
    expect(service.lines.join("\n")).to.include('"level":"error"');
    expectNone(service.lines);
  });

  it("stay out of every metric", async () => {
    const lines = (await metrics.render()).split("\n");
    expect(lines.length).to.be.above(300);
    expectNone(lines);
  });

  it("stay out of every answer that is a refusal", () => {
    expect(answers.length).to.be.above(80);
    expectNone(answers);
  });

  it("stay out of every answer about tokens, signing keys and service keys but the one that makes a key", () => {
    expect(told.length).to.be.at.least(12);
    expectNone(told);
  });

  it("stay out of the audit log as it is told, page by page", async () => {
    const { options } = await signInAdmin(service);
    const pages: string[] = [];
    let pageToken = "";
    do {
      const page = await service.admin.listAuditEvents({ pageSize: 20, pageToken }, options);
      pages.push(inspect(page.events, { depth: 9, maxStringLength: null, maxArrayLength: null }).replaceAll(ID, ""));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(pages).to.have.length.at.least(5);
    expect(pages.join("\n")).to.include("INVALID_CREDENTIALS");
    expectNone(pages);
  });

  it("stay out of every mail but for the token and the code that it is there for", () => {
    expect(service.mails).to.have.length.at.least(10);
    const texts = service.mails.map(({ subject, text, html }) => [subject, text, html].join("\n"));
    expectNone(texts, (name) => !/(token|code) of mail/.test(name));
  });

  it("stay out of every table, the queue's too", async () => {
    const rows: string[] = [];
    for (const table of await tables()) {
      const found = await service.database.query<{ row: string }>(`SELECT t::text AS row FROM ${table} t`);
      rows.push(...found.map(({ row }) => `${table}: ${row.replaceAll(TIME, "")}`));
    }
    for (const table of ["users", "sessions", "secret_tokens", "keys", "service_keys", "mails", "audit_events"]) {
      expect(
        rows.filter((row) => row.startsWith(`public.${table}: `)),
        table,
      ).not.to.have.length(0);
    }
    expectNone(rows);
  });

  it("keep a refusal free of everything that is of the inside", () => {
    for (const answer of answers) expect(answer).not.to.match(INSIDE);
  });

  it("print as [redacted], however they are printed", () => {
    const secret = createSecret("open sesame");
    const printed = [String(secret), `${secret}`, JSON.stringify({ secret }), inspect({ secret }, { depth: 9 })];
    for (const text of printed) expect(text).to.include("[redacted]").and.not.to.include("sesame");
    expect(secret.reveal()).to.equal("open sesame");
  });

  it("do not reach the log by what a failed statement hangs on its error", () => {
    const program = `
      import { createLog } from ${JSON.stringify(new URL("../src/log.ts", import.meta.url).href)};
      const original = Object.assign(new Error("no"), { sql: "INSERT ... 'canary'", parameters: ["canary"], detail: "canary" });
      const error = Object.assign(new Error("it failed", { cause: original }), { original, parent: original, parameters: ["canary"] });
      createLog("debug").error({ error, err: error }, "call failed");`;
    const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    expect(JSON.parse(stderr)).to.deep.include({ level: "error", msg: "call failed" });
    expect(stderr).to.include("it failed").and.not.to.include("canary");
    expect(JSON.parse(stderr).error.cause).to.include({ message: "no" });
  });

  it("leave in the log what an error with several causes says: of a host with two addresses, for one", () => {
    const refused = [new Error("connect ECONNREFUSED ::1:1"), new Error("connect ECONNREFUSED 127.0.0.1:1")];
    const error = Object.assign(new Error(""), { original: new AggregateError(refused) });
    const told = JSON.stringify(describeError(error));
    for (const { message } of refused) expect(told).to.include(message);
    expect(messageOf(error)).to.equal(refused.map(({ message }) => message).join("; "));
  });

  it("leave in the log a line of bounded length, whatever the causes of an error are", () => {
    const circle = new AggregateError([], "all");
    circle.errors.push(...Array.from({ length: 100 }, () => new Error("one".repeat(1e6), { cause: circle })));
    const told = JSON.stringify(describeError(circle));
    expect(told).to.include("oneone").and.have.length.below(250_000);
  });

  /** Every key that is kept wrapped, in the forms in which it could be written down. */
  async function noteKeys(): Promise<void> {
    const db = createDatabase(service.database.connection, 2, service.clock);
    const wrapping = createKeyWrapping(createSecret(SECRET_KEY), []);
    const { refreshToken, secretToken, pepper } = await loadKeys(db, wrapping);
    await db.close();
    const jwk = service.app.signingKeys.current().privateKey.export({ format: "jwk" });
    const keys = { refreshToken, secretToken, pepper: pepper.key, private: Buffer.from(jwk.d ?? "", "base64url") };
    for (const [name, key] of Object.entries(keys)) {
      for (const form of ["hex", "base64", "base64url"] as const) secrets.set(`${name} in ${form}`, key.toString(form));
    }
  }

  function note(name: string, tokens: Tokens | undefined): { access: string; refresh: string } {
    const { accessToken = "", refreshToken = "" } = tokens ?? {};
    secrets.set(`${name}: access token`, accessToken);
    secrets.set(`${name}: its signature`, accessToken.split(".")[2] ?? "");
    secrets.set(`${name}: refresh token`, refreshToken);
    return { access: accessToken, refresh: refreshToken };
  }

  async function noteMail(email: string, count: number) {
    const mail = await readMail(service, email, count);
    secrets.set(`${email}: token of mail ${count}`, mail.token);
    if (mail.code) secrets.set(`${email}: code of mail ${count}`, mail.code);
    return mail;
  }

  function password(name: string): string {
    const made = `canary ${name} ${secrets.size}`;
    secrets.set(`password ${name}`, made);
    return made;
  }

  /** Calls every RPC so that it succeeds. */
  async function useEverything(): Promise<void> {
    const { auth, admin } = service;
    const person = { ...newPerson(), password: password("of a sign-up") };
    await auth.signUp(person);
    await noteMail(person.email, 1);
    await auth.requestEmailConfirmation({ email: person.email });
    const { token, code } = await noteMail(person.email, 2);
    await auth.confirmEmail({ email: person.email, code });
    await auth.confirmEmail({ token });
    const device = note("sign-in", (await auth.signIn({ login: person.email, password: person.password })).tokens);
    const request = { login: person.username, password: person.password, deviceToken: device.refresh };
    const fixed = note("fixed", (await auth.signIn({ ...request, fixedRefreshToken: true })).tokens);
    const renewed = note("refresh", (await auth.refreshToken({ refreshToken: device.refresh })).tokens);
    const { session } = await auth.getMe({}, bearer(fixed.access));
    await auth.listSessions({}, bearer(renewed.access));
    await auth.revokeSession({ sessionId: session?.id ?? "" }, bearer(renewed.access));
    await auth.signOut({ refreshToken: renewed.refresh, scope: SignOutScope.ALL });
    await auth.requestPasswordReset({ email: person.email });
    const reset = await noteMail(person.email, 3);
    const chosen = password("of a reset");
    await auth.resetPassword({ token: reset.token, newPassword: chosen });

    const again = note("after the reset", (await auth.signIn({ login: person.email, password: chosen })).tokens);
    const change = { currentPassword: chosen, newPassword: password("of a change") };
    await auth.changePassword(change, bearer(again.access));
    await auth.updateMe({ username: newPerson().username, locale: "de" }, bearer(again.access));

    const { options, ...root } = await signInAdmin(service);
    note("admin", { ...root, $typeName: "auth.v1.Tokens" });
    const made = { ...newPerson(), password: password("of an admin's making") };
    const userId = (await admin.createUser(made, options)).user?.id ?? 0n;
    await noteMail(made.email, 1);
    await admin.getUser({ userId }, options);
    await admin.listUsers({}, options);
    await admin.setUserRoles({ userId, roles: ["reader"] }, options);
    await admin.setUserActive({ userId, isActive: false, reason: "spam" }, options);
    await admin.revokeUserSessions({ userId }, options);
    await admin.deleteUser({ userId }, options);
    await useServiceKeys(options);
  }

  /** Makes service keys and calls by them, in each way; all answers but those that tell a key are noted. */
  async function useServiceKeys(options: ReturnType<typeof bearer>): Promise<void> {
    const { key, serviceKey } = await service.admin.createServiceKey(newServiceKey("canary"), options);
    const serviceKeyId = serviceKey?.id ?? "";
    secrets.set("service key", key);
    secrets.set("service key without its id", key.slice(-43));
    const basic = Buffer.from(`${serviceKeyId}:${key.slice(-43)}`).toString("base64");
    secrets.set("service key in Basic", basic);
    const byKey = bearer(key);
    const { access: token } = note("introspected", await signIn(service, await signUpConfirmed(service)));
    for (const headers of [byKey.headers, { "x-latchkey-key": key }, { authorization: `Basic ${basic}` }]) {
      tell(await postForm(service, "/oauth2/introspect", { token }, headers));
      tell(await postForm(service, "/oauth2/revoke", { token: key }, headers));
    }
    tell(await tokenClient(service).introspectToken({ token: key }, byKey));
    tell(await service.admin.listServiceKeys({}, byKey));
    tell(await service.admin.revokeServiceKey({ serviceKeyId }, options));
    tell(await service.admin.listServiceKeys({}, options));
    for (const path of ["/.well-known/jwks.json", "/.well-known/openid-configuration"]) tell(await send(service, path));
  }

  function tell(answer: object): void {
    told.push(inspect(answer, { depth: 9, maxStringLength: null }));
  }

  /** Calls everything with secrets in it so that it is refused: in the right field, in a wrong one, on every transport. */
  async function failEverything(): Promise<void> {
    const { auth } = service;
    const person = newPerson();
    const { options } = await signIn(service, await signUpConfirmed(service));
    const { options: byAdmin } = await signInAdmin(service);
    for (const secret of [...secrets.values(), password("with NUL\0")]) {
      const faulty = `${secret}\0`;
      await refuse(() => auth.signUp({ username: secret, email: secret, password: faulty, locale: secret }));
      await refuse(() => auth.signIn({ login: faulty, password: faulty, deviceName: faulty }));
      await refuse(() => auth.signIn({ login: person.email, password: secret }));
      await refuse(() => auth.confirmEmail({ token: `${secret}x` }));
      await refuse(() => auth.refreshToken({ refreshToken: `${secret}x` }));
      await refuse(() => auth.resetPassword({ token: secret, newPassword: secret }));
      await refuse(() => auth.changePassword({ currentPassword: secret, newPassword: faulty }, options));
      await refuse(() => auth.updateMe({ username: `${secret}!`, locale: secret }, options));
      await refuse(() => auth.getMe({}, { headers: { authorization: `Bearer ${secret.replaceAll("\0", "")}x` } }));
      const headers = { authorization: `Bearer ${secret.replaceAll("\0", "")}x` };
      await refuse(() => tokenClient(service).introspectToken({ token: secret }, { headers }));
      await refuse(() => service.admin.createServiceKey(newServiceKey(`${secret}!`), byAdmin));
      await refuseHttp("/oauth2/introspect", { token: secret });
      await refuseHttp("/sign-in", { login: person.email, password: [secret] });
      await refuseHttp("/auth/refresh", { refresh_token: `${secret}x` });
      await refuseHttp(
        `/api/auth/confirmed_email/${encodeURIComponent(secret)}?token=${encodeURIComponent(secret)}`,
        {},
      );
      await refuseHttp("/auth.v1.AuthService/SignIn", { login: person.email, password: secret, surprise: secret });
      await refuseHttp("/auth.v1.AuthService/SignIn", `{"password": "${secret}`);
    }
  }

  /** Calls everything that reads or writes a table while the table is not there. */
  async function breakEverything(): Promise<void> {
    const { auth } = service;
    const person = { ...newPerson(), password: password("in a broken call") };
    const { options, refreshToken } = await signInAdmin(service);
    for (const table of ["users", "sessions", "secret_tokens", "service_keys", "mails", "audit_events"]) {
      await service.database.query(`ALTER TABLE ${table} RENAME TO gone`);
      try {
        await settle(() => auth.signUp(person));
        await settle(() => auth.signIn({ login: person.email, password: person.password }));
        await settle(() => auth.refreshToken({ refreshToken }));
        await settle(() => auth.getMe({}, options));
        await settle(() => auth.changePassword({ currentPassword: PASSWORD, newPassword: person.password }, options));
        await settle(() => service.admin.createUser(person, options));
        await settle(() => service.admin.createServiceKey(newServiceKey(person.username), options));
        await refuseHttp("/sign-in", { login: person.email, password: person.password });
      } finally {
        await service.database.query(`ALTER TABLE gone RENAME TO ${table}`);
      }
    }
  }

  async function refuse(call: Call): Promise<void> {
    answers.push(describeRefusal(await errorOf(call())));
  }

  async function refuseHttp(path: string, body: object | string): Promise<void> {
    const { status, text, headers } = await postJson(service, path, body);
    expect(status, path).to.be.at.least(400);
    answers.push(inspect([status, text, [...headers]]));
  }

  async function settle(call: Call): Promise<void> {
    await refuse(call).catch(() => {});
  }

  async function tables(): Promise<string[]> {
    const found = await service.database.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    return found.map(({ name }) => name);
  }

  function expectNone(texts: readonly string[], isMeant: (name: string) => boolean = () => true): void {
    for (const [name, secret] of [...secrets].filter(([name]) => isMeant(name))) {
      expect(secret, name).to.have.length.at.least(6);
      // Six digits are a code only where they stand alone.
      const holds = /^\d+$/.test(secret)
        ? (text: string) => new RegExp(`\\b${secret}\\b`).test(text)
        : (text: string) => text.includes(secret);
      expect(texts.filter(holds), name).to.deep.equal([]);
    }
  }
});

const newServiceKey = (name: string) => ({ name, scopes: [ServiceKeyScope.INTROSPECT, ServiceKeyScope.ADMIN] });

/** Ids are numbers too, of as many digits as a code. */
const ID = /(id|userId): \d+n/g;
const TIME = /\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?/g;
