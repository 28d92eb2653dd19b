import { expect } from "chai";
import { authorization, BAD_TOKEN, expectJson, type HttpAnswer, postForm, postJson, send } from "./support/http.ts";
import { newPerson, PASSWORD, readMail, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { storedSession } from "./support/tokens.ts";

const TOKEN_MEMBERS = ["access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in"];
const ACCOUNT_MEMBERS = ["id", "username", "email", "is_active"];

function expectTokens(answer: HttpAnswer, account?: object) {
  expectJson(answer, 200, account ? [...TOKEN_MEMBERS, "user"] : TOKEN_MEMBERS);
  const { token_type, expires_in, refresh_expires_in, user } = answer.body;
  expect({ token_type, expires_in }).to.deep.equal({ token_type: "bearer", expires_in: 86_400 });
  // A refresh token that stays the same has a little less left each time.
  expect(refresh_expires_in).to.be.within(2_592_000 - 60, 2_592_000);
  expect(user).to.deep.equal(account);
}

describe("the HTTP contract of", () => {
  let service: TestService;
  let optional: TestService;
  before(async () => {
    service = await startService();
    optional = await startService({ config: { emailConfirmation: "optional" } });
  });
  after(async () => {
    await service.stop();
    await optional.stop();
  });

  describe("seed 000", () => {
    it("signs in by username or address, and tells a reason in `detail` otherwise", async () => {
      const { id, username, email } = await signUpConfirmed(service);
      const account = { id: Number(id), username, email, is_active: true };
      for (const login of [{ username }, { username: email }, { email }, { login: username }])
        expectTokens(await postJson(service, "/sign-in", { ...login, password: PASSWORD }), account);
      expectTokens(await postForm(service, "/sign-in", { username, password: PASSWORD }), account);
      const refused = { detail: "Incorrect username or password", code: "INVALID_CREDENTIALS" };
      expectJson(await postJson(service, "/sign-in", { username, password: "wrong password" }), 401, refused);
      expectJson(await postJson(service, "/sign-in", { username: "nobody", password: PASSWORD }), 401, refused);
    });

    it("names every member that is missing", async () => {
      const detail = ["login", "password"].map((name) => ({
        loc: ["body", name],
        ...{ msg: "must be given", type: "required" },
      }));
      for (const body of ["{}", '{"username":null,"password":null}'])
        expectJson(await postJson(service, "/sign-in", body), 422, { detail, code: "INVALID_ARGUMENT" });
    });
  });

  describe("seed 001", () => {
    const signUp = async (on = service) => {
      const person = newPerson();
      const { username, email } = person;
      const answer = await postJson(on, "/auth/signup", person);
      expectJson(answer, 200, ACCOUNT_MEMBERS);
      expect(answer.body).to.include({ username, email, is_active: true });
      return { ...person, account: answer.body };
    };

    it("goes from sign-up to sign-in, refresh and me where no confirmation is required", async () => {
      const { username, account } = await signUp(optional);
      const login = await postJson(optional, "/auth/login", { username, password: PASSWORD });
      expectTokens(login, account);
      const { refresh_token } = login.body;
      for (let round = 0; round < 3; round++) {
        const refreshed = await postJson(optional, "/auth/refresh", { refresh_token });
        expectTokens(refreshed);
        expect(refreshed.body.refresh_token).to.equal(refresh_token);
        const headers = authorization(refreshed.body.access_token);
        expectJson(await send(optional, "/auth/me", { headers }), 200, account);
      }
    });

    it("answers 401 to a sign-in until the address is confirmed where that is required", async () => {
      const { username, email, account } = await signUp();
      const login = () => postForm(service, "/auth/login", { grant_type: "password", username, password: PASSWORD });
      expectJson(await login(), 401, { detail: "Email not confirmed", code: "EMAIL_NOT_CONFIRMED" });
      const { token } = await readMail(service, email);
      await send(service, `/api/auth/confirmed_email/${token}`);
      expectTokens(await login(), account);
    });

    it("answers 400 to a taken name and 401 to a bad password or token", async () => {
      const { username, email } = await signUp();
      expectJson(await postJson(service, "/auth/signup", { ...newPerson(), email: email.toUpperCase() }), 400, {
        ...{ detail: "Account with this email already exists", code: "EMAIL_TAKEN" },
      });
      expectJson(await postJson(service, "/auth/signup", { ...newPerson(), username }), 400, {
        ...{ detail: "Account with this username already exists", code: "USERNAME_TAKEN" },
      });
      const wrong = await postJson(service, "/auth/login", { username, password: "wrong password" });
      expectJson(wrong, 401, { detail: "Incorrect username or password", code: "INVALID_CREDENTIALS" });
      expectJson(await postJson(service, "/auth/refresh", { refresh_token: "junk" }), 401, BAD_TOKEN);
      expectJson(await send(service, "/auth/me"), 401, BAD_TOKEN);
    });

    it("signs out with a token of either kind, and says so without one too", async () => {
      const person = await signUpConfirmed(service);
      const done = { message: "Logout successful" };
      for (const kind of ["refresh", "access"]) {
        const { body } = await postJson(service, "/auth/login", { username: person.username, password: PASSWORD });
        const { access_token, refresh_token } = body;
        const answer =
          kind === "refresh"
            ? await postJson(service, "/auth/logout", { refresh_token })
            : await send(service, "/auth/logout", { method: "POST", headers: authorization(access_token) });
        expectJson(answer, 200, done);
        expectJson(await send(service, "/auth/me", { headers: authorization(access_token) }), 401, BAD_TOKEN);
        expectJson(await postJson(service, "/auth/refresh", { refresh_token }), 401, BAD_TOKEN);
      }
      expectJson(await send(service, "/auth/logout", { method: "POST" }), 200, done);
      expectJson(await postJson(service, "/auth/logout", { refresh_token: "junk" }), 200, done);
    });
  });

  describe("seed 002", () => {
    const signUp = async () => {
      const person = newPerson();
      return { ...person, answer: await postJson(service, "/api/auth/signup", person) };
    };
    const login = (username: string) => postForm(service, "/api/auth/login", { username, password: PASSWORD });

    it("makes an account and mails a confirmation", async () => {
      const { username, email, answer } = await signUp();
      const { id, created_at } = answer.body;
      expectJson(answer, 201, {
        ...{ id, username, email, is_active: true, email_confirmed: false, created_at },
        message: "User created. Check your email for confirmation.",
      });
      expect(id).to.be.a("number");
      expect(Math.abs(Date.now() - Date.parse(String(created_at)))).to.be.below(60_000);
      expect((await readMail(service, email)).kind).to.equal("confirm");
      const again = { ...newPerson(), email };
      const taken = { detail: "Account with this email already exists", code: "EMAIL_TAKEN" };
      expectJson(await postJson(service, "/api/auth/signup", again), 409, taken);
    });

    it("signs up with tokens where no confirmation is required", async () => {
      const { status, body } = await postJson(optional, "/api/auth/signup", newPerson());
      const me = await send(optional, "/auth/me", { headers: authorization(body.access_token) });
      expect(status).to.equal(201);
      expect(body).to.include.keys(TOKEN_MEMBERS);
      expect(body.message).to.equal("User created.");
      expect(me.body.id).to.equal(body.id);
    });

    it("takes its own example's password", async () => {
      const person = { ...newPerson(), password: "secure_password" };
      expect((await postJson(service, "/api/auth/signup", person)).status).to.equal(201);
    });

    it("signs in with a form: 401 until confirmed, 403 when blocked", async () => {
      const { username, email, answer } = await signUp();
      expectJson(await login(email), 401, { detail: "Email not confirmed", code: "EMAIL_NOT_CONFIRMED" });
      const { token } = await readMail(service, email);
      await send(service, `/api/auth/confirmed_email/${token}`);
      const { id } = answer.body;
      expectTokens(await login(email), { id, username, email, is_active: true });
      await service.database.query("UPDATE users SET is_active = false WHERE id = $1", id);
      expectJson(await login(email), 403, { detail: "User is blocked", code: "USER_BLOCKED" });
    });

    it("refreshes with the refresh token as bearer: a new pair", async () => {
      const { email } = await signUpConfirmed(service);
      const { refresh_token, access_token } = (await login(email)).body;
      const refresh = (token: unknown) => send(service, "/api/auth/refresh_token", { headers: authorization(token) });
      const head = await send(service, "/api/auth/refresh_token", {
        method: "HEAD",
        headers: authorization(refresh_token),
      });
      expect([head.status, head.text]).to.deep.equal([200, ""]);
      expect((await storedSession(service, { accessToken: String(access_token) })).counter).to.equal(0);
      const renewed = await refresh(refresh_token);
      expectTokens(renewed);
      expect(renewed.body.refresh_token).not.to.equal(refresh_token);
      const { body } = await postJson(service, "/auth/refresh", { refresh_token: renewed.body.refresh_token });
      expect(body.refresh_token).to.be.a("string").and.not.equal(renewed.body.refresh_token);
      expectJson(await refresh(access_token), 401, BAD_TOKEN);
      expectJson(await send(service, "/api/auth/refresh_token"), 401, BAD_TOKEN);
    });

    it("signs out with the refresh token as bearer, at the path with two slashes too", async () => {
      const { email } = await signUpConfirmed(service);
      for (const path of ["/api/auth/logout", "/api/auth//logout"]) {
        const { refresh_token, access_token } = (await login(email)).body;
        const logout = () => send(service, path, { method: "POST", headers: authorization(refresh_token) });
        expectJson(await logout(), 200, { message: "Logout successful" });
        expectJson(await send(service, "/auth/me", { headers: authorization(access_token) }), 401, BAD_TOKEN);
        expectJson(await logout(), 401, BAD_TOKEN);
      }
      expectJson(await send(service, "/api/auth/logout", { method: "POST" }), 401, BAD_TOKEN);
      expect((await login(email)).status).to.equal(200);
    });

    it("sends the confirmation again, unless there is nothing to confirm", async () => {
      const { email } = await signUp();
      const request = (address: string) => postJson(service, "/api/auth/request_email", { email: address });
      const check = { message: "Check your email for confirmation." };
      expectJson(await request(email), 200, check);
      expectJson(await request("unknown@example.com"), 200, check);
      const { token } = await readMail(service, email, 2);
      await send(service, `/api/auth/confirmed_email/${token}`);
      expectJson(await request(email), 200, { message: "Your email is already confirmed" });
      expect(service.mails.filter(({ to }) => to === email)).to.have.length(2);
    });
  });
});
