import { ScalarType } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { expectHarmless } from "./support/cases.ts";
import { authorization, type HttpAnswer, postForm, postJson, send } from "./support/http.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { errorOf } from "./support/refusals.ts";
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

/** What JSON can hold in the place of text, and of an id. */
const NO_TEXT: readonly unknown[] = [{ $ne: "" }, ["ada"], [], {}, true, 1, { toString: "ada" }];
const NO_ID: readonly unknown[] = [{ $ne: "" }, ["1"], {}, true, "1 OR 1=1", "1e999", 1.5, "9".repeat(30)];

/** The members of each route that hold text, and what the audit log calls a refusal. */
const ROUTES: Readonly<Record<string, readonly [event: string, ...fields: string[]]>> = {
  "/sign-in": ["sign_in_failed", "login", "username", "email", "password", "device_name", "device_token"],
  "/auth/login": ["sign_in_failed", "username", "password"],
  "/auth/signup": ["sign_up_refused", "username", "email", "password", "locale"],
  "/auth/refresh": ["token_refused", "refresh_token"],
  "/api/auth/login": ["sign_in_failed", "email", "password"],
  "/api/auth/signup": ["sign_up_refused", "username", "email", "password"],
  "/api/auth/request_email": ["confirmation_requested", "email"],
};

/** What each route and page that takes text of anyone answers to such text, by how it is sent. */
const ANSWERS: Readonly<Record<string, (service: TestService, text: string) => Promise<{ status: number }>>> = {
  "a sign-in, 401": (to, text) => postJson(to, "/sign-in", { login: text, password: text }),
  "a form's sign-in, 401": (to, text) => postForm(to, "/auth/login", { username: text, password: text }),
  "a refresh, 401": (to, text) => postJson(to, "/auth/refresh", { refresh_token: text }),
  "a refresh by header, 401": (to, text) => send(to, "/api/auth/refresh_token", { headers: authorization(text) }),
  "a bearer, 401": (to, text) => send(to, "/auth/me", { headers: authorization(text) }),
  "a confirmation, 400": (to, text) => send(to, `/api/auth/confirmed_email/${encodeURIComponent(text)}`),
  "a mail, 422": (to, text) => postJson(to, "/api/auth/request_email", { email: text }),
  "a sign-up, 422": (to, text) => postForm(to, "/api/auth/signup", { ...newPerson(), email: `"${text}"@x.io` }),
  "a page's confirmation, 400": (to, text) => postForm(to, "/account/confirm", { token: text }),
  "a page's reset, 400": (to, text) => postForm(to, "/account/reset", { token: text, new_password: PASSWORD }),
  "a revocation, 200": (to, text) => postForm(to, "/oauth2/revoke", { token: text }),
};

/** What the audit log has of these. A revocation has nothing to refuse. */
const ANSWERS_RECORDED = {
  "confirmation_requested INVALID_ARGUMENT": FRAGMENTS.length,
  "email_confirmation_failed INVALID_TOKEN": 2 * FRAGMENTS.length,
  "password_reset_failed INVALID_TOKEN": FRAGMENTS.length,
  "sign_in_failed INVALID_CREDENTIALS": 2 * FRAGMENTS.length,
  "sign_up_refused INVALID_ARGUMENT": FRAGMENTS.length,
  "token_refused INVALID_TOKEN": 3 * FRAGMENTS.length,
};

const BY = {
  gRPC: ({ auth }: TestService) => auth,
  "Connect JSON": ({ httpUrl: baseUrl }: TestService) =>
    createClient(AuthService, createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })),
};

describe("what looks like code", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  for (const [name, clientOf] of Object.entries(BY)) {
    it(`is text in every field of every call that anyone may make, over ${name}`, async () => {
      const auth = clientOf(service);
      const { email } = await signUpConfirmed(service);
      for (const text of FRAGMENTS) {
        const attack = async () => {
          const calls = {
            login: auth.signIn({ login: text, password: PASSWORD }),
            password: auth.signIn({ login: email, password: text }),
            // Some are names like any other.
            username: auth.signUp({ ...newPerson(), username: isName(text) ? `${text}.${name.length}` : text }),
            email: auth.signUp({ ...newPerson(), email: `"${text}"@x.io` }),
            token: auth.confirmEmail({ token: text }),
            code: auth.confirmEmail({ email, code: text }),
            resend: auth.requestEmailConfirmation({ email: text }),
            reset: auth.requestPasswordReset({ email: text }),
            resetToken: auth.resetPassword({ token: text, newPassword: PASSWORD }),
            refresh: auth.refreshToken({ refreshToken: text }),
          };
          const refusals = Object.entries(calls).map(async ([name, call]) => [name, await refusalOf(call)] as const);
          expect(Object.fromEntries(await Promise.all(refusals)), text).to.deep.equal({
            ...{ login: "INVALID_CREDENTIALS", password: "INVALID_CREDENTIALS" },
            ...{ username: isName(text) ? "" : "INVALID_ARGUMENT", email: "INVALID_ARGUMENT" },
            ...{ token: "INVALID_TOKEN", code: "INVALID_TOKEN", resend: "INVALID_ARGUMENT", reset: "INVALID_ARGUMENT" },
            ...{ resetToken: "INVALID_TOKEN", refresh: "INVALID_TOKEN" },
          });
          const { username: _, ...refused } = calls;
          return Promise.all(Object.values(refused).map(errorOf));
        };
        const recorded = {
          "confirmation_requested INVALID_ARGUMENT": 1,
          "email_confirmation_failed INVALID_TOKEN": 2,
          "password_reset_failed INVALID_TOKEN": 1,
          "password_reset_requested INVALID_ARGUMENT": 1,
          "sign_in_failed INVALID_CREDENTIALS": 2,
          "sign_up_refused INVALID_ARGUMENT": isName(text) ? 1 : 2,
          "token_refused INVALID_TOKEN": 1,
        };
        const changes = isName(text) ? ["users", "secret_tokens", "mails"] : [];
        await expectHarmless(service, { recorded, changes }, attack);
      }
    });
  }

  it("is text on every route and page that anyone may call", async () => {
    await expectHarmless(service, { recorded: ANSWERS_RECORDED }, async () => {
      for (const text of FRAGMENTS) {
        for (const [what, ask] of Object.entries(ANSWERS)) {
          const { status } = await ask(service, text);
          expect(status, `${what}: ${text}`).to.equal(Number(what.slice(-3)));
        }
      }
      return [];
    });
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

  it("is refused in the place of text and ids in every message of every RPC", async () => {
    const { options } = await signInAdmin(service);
    // Of what is asked of anyone's and of passwords; a request of somebody who is known by then has tried nothing.
    const recorded = {
      "sign_up_refused INVALID_ARGUMENT": 4 * NO_TEXT.length,
      "sign_in_failed INVALID_ARGUMENT": 4 * NO_TEXT.length,
      "email_confirmation_failed INVALID_ARGUMENT": 3 * NO_TEXT.length,
      "confirmation_requested INVALID_ARGUMENT": NO_TEXT.length,
      "password_reset_requested INVALID_ARGUMENT": NO_TEXT.length,
      "password_reset_failed INVALID_ARGUMENT": 2 * NO_TEXT.length,
      "password_change_failed INVALID_ARGUMENT": 2 * NO_TEXT.length,
      "token_refused INVALID_ARGUMENT": NO_TEXT.length,
    };
    await expectHarmless(service, { recorded }, async () => {
      const answers: unknown[] = [];
      for (const { parent, name, input } of service.app.routes.services.flatMap(({ desc }) => desc.methods)) {
        for (const { jsonName, scalar } of input.fields) {
          for (const value of scalar === ScalarType.STRING ? NO_TEXT : scalar === ScalarType.INT64 ? NO_ID : []) {
            const path = `/${parent.typeName}/${name}`;
            const { status, text } = await postJson(service, path, { [jsonName]: value }, options.headers);
            const isStream = name === "WatchRevocations";
            expect(status, `${name}, ${jsonName}: ${JSON.stringify(value)}`).to.equal(isStream ? 415 : 400);
            if (!isStream) expect(text).to.include("invalid_argument");
            answers.push(text);
          }
        }
      }
      expect(answers.length).to.be.above(150);
      return answers;
    });
  });

  for (const [route, [event, ...fields]] of Object.entries(ROUTES)) {
    it(`is refused on ${route} in the place of text`, async () => {
      const unread = { [`${event} INVALID_ARGUMENT`]: fields.length * NO_TEXT.length };
      const recorded =
        event === "token_refused"
          ? { ...unread, "token_refused INVALID_TOKEN": fields.length }
          : { [`${event} INVALID_ARGUMENT`]: fields.length * (NO_TEXT.length + 1) };
      await expectHarmless(service, { recorded }, async () => {
        const { username, email, password } = newPerson();
        const answers: HttpAnswer[] = [];
        for (const field of fields) {
          for (const value of NO_TEXT) {
            const filled = { username, email, login: email, password, refresh_token: "x", [field]: value };
            // A login goes by its first member.
            const known = Object.entries(filled).filter(
              ([name]) => name === field || (fields.includes(name) && !/^(login|username)$/.test(name)),
            );
            answers.push(await postJson(service, route, Object.fromEntries(known)));
            expect(answers.at(-1)?.status, `${field}: ${JSON.stringify(value)}`).to.equal(422);
            expect(answers.at(-1)?.text).to.include("malformed");
          }
          // As the forms of other frameworks write an object.
          const { status } = await postForm(service, route, { [`${field}[$ne]`]: "" });
          expect(status, `${field}[$ne]`).to.be.oneOf([401, 422]);
        }
        return answers;
      });
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

function isName(text: string): boolean {
  return /^[a-z_]+$/.test(text);
}
