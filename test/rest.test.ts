import { expect } from "chai";
import { type FakeGateway, startFakeGateway } from "./support/fake-gateway.ts";
import {
  ACCOUNT_BODY,
  bearer,
  expectFault,
  form,
  json,
  parsed,
  TOKENS,
  TOKENS_BODY,
  USER,
} from "./support/rest-samples.ts";

describe("REST routes about sessions", () => {
  let gateway: FakeGateway;

  beforeEach(async () => {
    gateway = await startFakeGateway();
    gateway.fake.answer = () => ({ user: USER, tokens: TOKENS, signedOut: true });
  });
  afterEach(() => gateway.close());

  describe("sign-in", () => {
    for (const path of ["/sign-in", "/auth/login", "/api/auth/login"]) {
      it(`answers ${path} with the tokens and the account`, async () => {
        const reply = await gateway.send("POST", path, json({ username: "ada", password: "pw" }));
        expect(reply.status).to.equal(200);
        expect(parsed(reply)).to.deep.equal({ ...TOKENS_BODY, user: ACCOUNT_BODY });
        expect(reply.headers).to.include({ "content-type": "application/json", "cache-control": "no-store" });
        expect(gateway.onlyCall().request).to.include({
          login: "ada",
          password: "pw",
          fixedRefreshToken: path === "/auth/login",
        });
      });
    }

    it("reads an OAuth2 password form and leaves out what it does not know", async () => {
      const body = "grant_type=password&username=ada%40example.com&password=a+b%2B%C3%A9&scope=&client_id=x";
      expect((await gateway.send("POST", "/api/auth/login", form(body))).status).to.equal(200);
      expect(gateway.onlyCall().request).to.include({ login: "ada@example.com", password: "a b+é" });
    });

    it("takes the first of login, username and email that is there", async () => {
      await gateway.send("POST", "/sign-in", json({ email: "e@x.io", login: null, username: "u", password: "p" }));
      await gateway.send("POST", "/sign-in", json({ email: "e@x.io", password: "p" }));
      expect(gateway.fake.calls.map(({ request }) => request.login)).to.deep.equal(["u", "e@x.io"]);
    });

    it("passes the device's name and token on", async () => {
      const body = { username: "ada", password: "p", device_name: "phone", device_token: "old" };
      await gateway.send("POST", "/sign-in", json(body));
      expect(gateway.onlyCall().request).to.include({ deviceName: "phone", deviceToken: "old" });
    });

    it("names a faulty field as the body did", async () => {
      gateway.refuseWith("INVALID_ARGUMENT", {
        violations: [{ field: "login", reason: "TOO_LONG", description: "too long" }],
      });
      const reply = await gateway.send("POST", "/sign-in", json({ username: "u", password: "p" }));
      expect(reply.status).to.equal(422);
      expect(parsed(reply)).to.deep.equal({
        detail: [{ loc: ["body", "username"], msg: "too long", type: "too_long" }],
        code: "INVALID_ARGUMENT",
      });
    });

    it("answers 401 with a challenge to wrong credentials", async () => {
      gateway.refuseWith("INVALID_CREDENTIALS");
      const reply = await gateway.send("POST", "/sign-in", json({ username: "u", password: "p" }));
      expect(reply.status).to.equal(401);
      expect(reply.body).to.equal('{"detail":"Incorrect username or password","code":"INVALID_CREDENTIALS"}');
      expect(reply.headers).to.include({ "www-authenticate": "Bearer", "cache-control": "no-store" });
    });

    it("answers 403 to a blocked user", async () => {
      gateway.refuseWith("USER_BLOCKED");
      const reply = await gateway.send("POST", "/api/auth/login", json({ username: "u", password: "p" }));
      expect(reply.status).to.equal(403);
      expect(parsed(reply)).to.deep.equal({ detail: "User is blocked", code: "USER_BLOCKED" });
    });

    it("tells when to retry in whole seconds, rounded up", async () => {
      gateway.refuseWith("OVERLOADED", { retryAfterMs: 1_200 });
      const reply = await gateway.send("POST", "/sign-in", json({ username: "u", password: "p" }));
      expect(reply.status).to.equal(503);
      expect(reply.headers["retry-after"]).to.equal("2");
    });
  });

  describe("sign-up", () => {
    const account = { username: "ada", email: "ada@example.com", password: "pw" };

    it("tells exactly four members on /auth/signup", async () => {
      const reply = await gateway.send("POST", "/auth/signup", json(account));
      expect(reply.status).to.equal(200);
      expect(reply.body).to.equal('{"id":41,"username":"ada","email":"ada@example.com","is_active":true}');
    });

    it("tells the account and what comes next on /api/auth/signup", async () => {
      gateway.fake.answer = () => ({ user: { ...USER, emailConfirmed: false }, confirmationRequired: true });
      const reply = await gateway.send("POST", "/api/auth/signup", json(account));
      expect(reply.status).to.equal(201);
      expect(parsed(reply)).to.deep.equal({
        ...ACCOUNT_BODY,
        email_confirmed: false,
        created_at: "2026-03-04T05:06:07.500Z",
        message: "User created. Check your email for confirmation.",
      });
    });

    it("adds the tokens when no confirmation is required", async () => {
      const reply = await gateway.send("POST", "/api/auth/signup", json(account));
      expect(parsed(reply)).to.include({ ...TOKENS_BODY, message: "User created." });
    });

    it("sets nothing but the members of a sign-up", async () => {
      const body = { ...account, locale: "de", is_active: false, roles: ["admin"], id: 1, __proto__: { email: "x" } };
      await gateway.send("POST", "/auth/signup", json(body));
      expect(gateway.onlyCall().request).to.deep.equal({ ...account, locale: "de" });
    });

    it("answers a taken address 400 on /auth/signup and 409 on /api/auth/signup", async () => {
      gateway.refuseWith("EMAIL_TAKEN");
      const [old, api] = [
        await gateway.send("POST", "/auth/signup", json(account)),
        await gateway.send("POST", "/api/auth/signup", json(account)),
      ];
      expect([old.status, api.status]).to.deep.equal([400, 409]);
      expect(old.body).to.equal('{"detail":"Account with this email already exists","code":"EMAIL_TAKEN"}');
    });

    it("leaves missing members to the RPC", async () => {
      expect((await gateway.send("POST", "/auth/signup", json({ username: null }))).status).to.equal(200);
      expect(gateway.onlyCall().request).to.deep.equal({ username: "", email: "", password: "", locale: "" });
    });

    for (const value of [5, true, ["ada"], { $ne: "" }, "\ud800"]) {
      it(`refuses ${JSON.stringify(value)} in place of a text`, async () => {
        const reply = await gateway.send("POST", "/auth/signup", json({ ...account, username: value }));
        expectFault(reply, { loc: ["body", "username"], type: "malformed" });
        expect(gateway.fake.calls).to.be.empty;
      });
    }
  });

  describe("refresh and sign-out", () => {
    it("refreshes with the token of the body", async () => {
      const reply = await gateway.send("POST", "/auth/refresh", json({ refresh_token: "r" }));
      expect(parsed(reply)).to.deep.equal(TOKENS_BODY);
      expect(gateway.onlyCall()).to.deep.include({ rpc: "RefreshToken", request: { refreshToken: "r" } });
    });

    it("moves the bearer token into the request on /api/auth/refresh_token", async () => {
      const reply = await gateway.send("GET", "/api/auth/refresh_token", bearer("r"));
      expect(parsed(reply)).to.deep.equal(TOKENS_BODY);
      expect(gateway.onlyCall().request).to.deep.equal({ refreshToken: "r" });
      expect(gateway.onlyCall().context.header.has("authorization")).to.be.false;
    });

    it("moves the bearer token into the request on /api/auth/logout, with repeated slashes too", async () => {
      const reply = await gateway.send("POST", "/api/auth//logout", bearer("r"));
      expect(parsed(reply)).to.deep.equal({ message: "Logout successful" });
      expect(gateway.onlyCall().request).to.include({ refreshToken: "r" });
      expect(gateway.onlyCall().context.header.has("authorization")).to.be.false;
    });

    it("answers 401 on /api/auth/logout when nothing was ended", async () => {
      gateway.fake.answer = () => ({ signedOut: false });
      const reply = await gateway.send("POST", "/api/auth/logout");
      expect(reply.status).to.equal(401);
      expect(parsed(reply)).to.deep.equal({ detail: "Invalid or expired token", code: "INVALID_TOKEN" });
    });

    it("answers 200 on /auth/logout with a body token, a bearer token, or none", async () => {
      gateway.fake.answer = () => ({ signedOut: false });
      const replies = [
        await gateway.send("POST", "/auth/logout", json({ refresh_token: "r" })),
        await gateway.send("POST", "/auth/logout", bearer("a")),
        await gateway.send("POST", "/auth/logout"),
        await gateway.send("POST", "/auth/logout", json({ refresh_token: 5 })),
        await gateway.send("POST", "/auth/logout", { headers: { "content-type": "text/plain" }, body: "bye" }),
      ];
      expect(replies.map(({ status }) => status)).to.deep.equal([200, 200, 200, 200, 200]);
      expect(new Set(replies.map(({ body }) => body))).to.deep.equal(new Set(['{"message":"Logout successful"}']));
      expect(gateway.fake.calls.map(({ request }) => request.refreshToken)).to.deep.equal(["r", "", "", "", ""]);
      expect(gateway.fake.calls[1]?.context.header.get("authorization")).to.equal("Bearer a");
    });

    it("changes nothing on HEAD", async () => {
      const reply = await gateway.send("HEAD", "/api/auth/refresh_token", bearer("r"));
      expect([reply.status, reply.body]).to.deep.equal([200, ""]);
      expect(gateway.fake.calls).to.be.empty;
    });
  });
});
