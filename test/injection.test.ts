import { expect } from "chai";
import { postJson } from "./support/http.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";

const FRAGMENTS = [
  "' OR '1'='1",
  "admin'--",
  "'; DROP TABLE users; --",
  "\\'; SELECT pg_sleep(10); --",
  "$1",
  ":login",
  "?",
  "$$; SELECT 1; $$",
  "E'\\x27'",
  "{{7*7}}",
  "#{7*7}",
  `\${7*7}`,
  "<script>alert(1)</script>",
  "%s%s%n",
  "../../etc/passwd",
  "__proto__",
  "constructor",
];

/** What JSON can hold in the place of text. */
const NO_TEXT: readonly unknown[] = [{ $ne: "" }, ["ada"], [], {}, true, 1, { toString: "ada" }];

const ROUTES = {
  "/auth.v1.AuthService/SignIn": ["login", "password", "deviceName"],
  "/auth.v1.AuthService/SignUp": ["username", "email", "password", "locale"],
  "/auth.v1.AuthService/ResetPassword": ["token", "newPassword"],
  "/auth.v1.AuthService/RefreshToken": ["refreshToken"],
  "/sign-in": ["login", "password", "device_name"],
  "/api/auth/signup": ["username", "email", "password"],
  "/api/auth/request_email": ["email"],
  "/auth/refresh": ["refresh_token"],
};

describe("what looks like code", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const dump = () =>
    service.database.query(
      "SELECT (SELECT json_agg(u ORDER BY id) FROM users u) AS users, (SELECT json_agg(t ORDER BY id) FROM secret_tokens t) AS tokens",
    );

  it("is text in every field of every call that anyone may make", async () => {
    const { email } = await signUpConfirmed(service);
    const before = await dump();
    for (const text of FRAGMENTS) {
      const calls = {
        login: service.auth.signIn({ login: text, password: PASSWORD }),
        password: service.auth.signIn({ login: email, password: text }),
        username: service.auth.signUp({ ...newPerson(), username: text }),
        email: service.auth.signUp({ ...newPerson(), email: `"${text}"@x.io` }),
        token: service.auth.confirmEmail({ token: text }),
        code: service.auth.confirmEmail({ email, code: text }),
        resend: service.auth.requestEmailConfirmation({ email: text }),
        reset: service.auth.requestPasswordReset({ email: text }),
        resetToken: service.auth.resetPassword({ token: text, newPassword: PASSWORD }),
        refresh: service.auth.refreshToken({ refreshToken: text }),
      };
      const refusals = Object.entries(calls).map(async ([name, call]) => [name, await refusalOf(call)] as const);
      expect(Object.fromEntries(await Promise.all(refusals)), text).to.deep.equal({
        login: "INVALID_CREDENTIALS",
        password: "INVALID_CREDENTIALS",
        username: isName(text) ? "" : "INVALID_ARGUMENT",
        email: "INVALID_ARGUMENT",
        token: "INVALID_TOKEN",
        code: "INVALID_TOKEN",
        resend: "INVALID_ARGUMENT",
        reset: "INVALID_ARGUMENT",
        resetToken: "INVALID_TOKEN",
        refresh: "INVALID_TOKEN",
      });
      if (!isName(text)) expect(await dump(), text).to.deep.equal(before);
    }
  });

  it("is text in what signed-in people and admins send", async () => {
    const admin = await signInAdmin(service);
    const person = await signUpConfirmed(service);
    for (const text of FRAGMENTS) {
      const request = { login: person.email, password: PASSWORD, deviceName: text, deviceToken: text };
      await service.auth.signIn(request);
      const { sessions } = await service.auth.listSessions({}, (await signIn(service, person)).options);
      expect(sessions.map(({ deviceName }) => deviceName)).to.include(text);
      const revoked = service.auth.revokeSession({ sessionId: text }, admin.options);
      expect(await refusalOf(revoked), text).to.equal("INVALID_ARGUMENT");
      const { users } = await service.admin.listUsers({ prefix: text }, admin.options);
      expect(users.filter(({ username }) => !username.startsWith(text))).to.deep.equal([]);
      const roles = service.admin.setUserRoles({ userId: person.id, roles: [`r${text}`] }, admin.options);
      expect(await refusalOf(roles), text).to.equal(isName(text) ? "" : "INVALID_ARGUMENT");
      const blocked = service.admin.setUserActive({ userId: person.id, isActive: false, reason: text }, admin.options);
      expect((await blocked).user?.isActive).to.equal(false);
      await service.admin.setUserActive({ userId: person.id, isActive: true }, admin.options);
    }
  });

  for (const [route, fields] of Object.entries(ROUTES)) {
    it(`is refused on ${route} in the place of text`, async () => {
      const before = await dump();
      for (const field of fields) {
        for (const value of NO_TEXT) {
          const { username, email, password } = newPerson();
          const filled = { username, email, login: email, password, token: "x", [field]: value };
          const known = Object.entries(filled).filter(([name]) => fields.includes(name));
          const { status, text } = await postJson(service, route, Object.fromEntries(known));
          expect(status, `${field}: ${JSON.stringify(value)}`).to.equal(route.startsWith("/auth.v1") ? 400 : 422);
          expect(text).to.match(/invalid_argument|malformed/);
        }
      }
      expect(await dump()).to.deep.equal(before);
    });
  }

  it("is shown escaped in mails", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    const name = `<img src=x onerror="alert(1)">&amp;\r\nBcc: mallory@evil.io`;
    await service.database.query("UPDATE users SET username = $1 WHERE username = $2", name, person.username);
    await service.auth.requestEmailConfirmation({ email: person.email });
    const { html, text } = await readMail(service, person.email, 2);
    expect(html).not.to.include("<img");
    expect(html).to.include("&lt;img src=x onerror=");
    expect(text).not.to.match(/^Bcc:/m);
    expect(await mailedTo(service, person.email)).to.have.length(2);
  });
});

// Some are names like any other.
function isName(text: string): boolean {
  return /^[a-z_]+$/.test(text);
}
