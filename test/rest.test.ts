import { connect } from "node:net";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import type { Reason } from "../src/auth/errors.ts";
import { refusal } from "../src/rpc/reasons.ts";
import { type FakeGateway, type Reply, type Sent, startFakeGateway } from "./fake-gateway.ts";

const NOW = new Date("2026-03-04T05:06:07.500Z");
const USER = {
  id: 41n,
  username: "ada",
  email: "ada@example.com",
  isActive: true,
  emailConfirmed: true,
  roles: ["admin"],
  createTime: timestampFromDate(NOW),
};
const TOKENS = {
  accessToken: "access-1",
  refreshToken: "refresh-1",
  tokenType: "bearer",
  expiresIn: 86_400,
  accessExpireTime: timestampFromDate(new Date(Date.UTC(2026, 2, 5, 5, 6, 7))),
  refreshExpireTime: timestampFromDate(new Date(NOW.getTime() + 2_592_000_000)),
};
const ACCOUNT_BODY = { id: 41, username: "ada", email: "ada@example.com", is_active: true };
const TOKENS_BODY = {
  access_token: "access-1",
  refresh_token: "refresh-1",
  token_type: "bearer",
  expires_in: 86_400,
  refresh_expires_in: 2_592_000,
};

const json = (body: unknown, headers: Record<string, string> = {}): Sent => ({
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});
const form = (body: string): Sent => ({ headers: { "content-type": "application/x-www-form-urlencoded" }, body });
const bearer = (token: string): Sent => ({ headers: { authorization: `Bearer ${token}` } });
const parsed = (reply: Reply) => JSON.parse(reply.body);

describe("REST routes", () => {
  let gateway: FakeGateway;

  beforeEach(async () => {
    gateway = await startFakeGateway();
    gateway.fake.answer = () => ({ user: USER, tokens: TOKENS, signedOut: true });
  });
  afterEach(() => gateway.close());

  const refuseWith = (reason: Reason, more: Parameters<typeof refusal>[1] = {}) => {
    gateway.fake.answer = () => {
      throw refusal(reason, more);
    };
  };
  const onlyCall = () => {
    expect(gateway.fake.calls).to.have.length(1);
    return gateway.fake.calls[0] ?? expect.fail();
  };
  const expectFault = (reply: Reply, fault: { loc: string[]; type: string }) => {
    expect(reply.status).to.equal(422);
    expect(parsed(reply).code).to.equal("INVALID_ARGUMENT");
    expect(parsed(reply).detail[0]).to.include({ type: fault.type }).and.to.have.deep.property("loc", fault.loc);
  };

  describe("sign-in", () => {
    for (const path of ["/sign-in", "/auth/login", "/api/auth/login"]) {
      it(`answers ${path} with the tokens and the account`, async () => {
        const reply = await gateway.send("POST", path, json({ username: "ada", password: "pw" }));
        expect(reply.status).to.equal(200);
        expect(parsed(reply)).to.deep.equal({ ...TOKENS_BODY, user: ACCOUNT_BODY });
        expect(reply.headers).to.include({ "content-type": "application/json", "cache-control": "no-store" });
        expect(onlyCall().request).to.include({
          login: "ada",
          password: "pw",
          fixedRefreshToken: path === "/auth/login",
        });
      });
    }

    it("reads an OAuth2 password form and leaves out what it does not know", async () => {
      const body = "grant_type=password&username=ada%40example.com&password=a+b%2B%C3%A9&scope=&client_id=x";
      expect((await gateway.send("POST", "/api/auth/login", form(body))).status).to.equal(200);
      expect(onlyCall().request).to.include({ login: "ada@example.com", password: "a b+é" });
    });

    it("takes the first of login, username and email that is there", async () => {
      await gateway.send("POST", "/sign-in", json({ email: "e@x.io", login: null, username: "u", password: "p" }));
      await gateway.send("POST", "/sign-in", json({ email: "e@x.io", password: "p" }));
      expect(gateway.fake.calls.map(({ request }) => request.login)).to.deep.equal(["u", "e@x.io"]);
    });

    it("passes the device's name and token on", async () => {
      const body = { username: "ada", password: "p", device_name: "phone", device_token: "old" };
      await gateway.send("POST", "/sign-in", json(body));
      expect(onlyCall().request).to.include({ deviceName: "phone", deviceToken: "old" });
    });

    it("names a faulty field as the body did", async () => {
      refuseWith("INVALID_ARGUMENT", { violations: [{ field: "login", reason: "TOO_LONG", description: "too long" }] });
      const reply = await gateway.send("POST", "/sign-in", json({ username: "u", password: "p" }));
      expect(reply.status).to.equal(422);
      expect(parsed(reply)).to.deep.equal({
        detail: [{ loc: ["body", "username"], msg: "too long", type: "too_long" }],
        code: "INVALID_ARGUMENT",
      });
    });

    it("answers 401 with a challenge to wrong credentials", async () => {
      refuseWith("INVALID_CREDENTIALS");
      const reply = await gateway.send("POST", "/sign-in", json({ username: "u", password: "p" }));
      expect(reply.status).to.equal(401);
      expect(reply.body).to.equal('{"detail":"Incorrect username or password","code":"INVALID_CREDENTIALS"}');
      expect(reply.headers).to.include({ "www-authenticate": "Bearer", "cache-control": "no-store" });
    });

    it("answers 403 to a blocked user", async () => {
      refuseWith("USER_BLOCKED");
      const reply = await gateway.send("POST", "/api/auth/login", json({ username: "u", password: "p" }));
      expect(reply.status).to.equal(403);
      expect(parsed(reply)).to.deep.equal({ detail: "User is blocked", code: "USER_BLOCKED" });
    });

    it("tells when to retry in whole seconds, rounded up", async () => {
      refuseWith("OVERLOADED", { retryAfterMs: 1_200 });
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
      expect(onlyCall().request).to.deep.equal({ ...account, locale: "de" });
    });

    it("answers a taken address 400 on /auth/signup and 409 on /api/auth/signup", async () => {
      refuseWith("EMAIL_TAKEN");
      const [old, api] = [
        await gateway.send("POST", "/auth/signup", json(account)),
        await gateway.send("POST", "/api/auth/signup", json(account)),
      ];
      expect([old.status, api.status]).to.deep.equal([400, 409]);
      expect(old.body).to.equal('{"detail":"Account with this email already exists","code":"EMAIL_TAKEN"}');
    });

    it("leaves missing members to the RPC", async () => {
      expect((await gateway.send("POST", "/auth/signup", json({ username: null }))).status).to.equal(200);
      expect(onlyCall().request).to.deep.equal({ username: "", email: "", password: "", locale: "" });
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
      expect(onlyCall()).to.deep.include({ rpc: "RefreshToken", request: { refreshToken: "r" } });
    });

    it("moves the bearer token into the request on /api/auth/refresh_token", async () => {
      const reply = await gateway.send("GET", "/api/auth/refresh_token", bearer("r"));
      expect(parsed(reply)).to.deep.equal(TOKENS_BODY);
      expect(onlyCall().request).to.deep.equal({ refreshToken: "r" });
      expect(onlyCall().context.header.has("authorization")).to.be.false;
    });

    it("moves the bearer token into the request on /api/auth/logout, with repeated slashes too", async () => {
      const reply = await gateway.send("POST", "/api/auth//logout", bearer("r"));
      expect(parsed(reply)).to.deep.equal({ message: "Logout successful" });
      expect(onlyCall().request).to.include({ refreshToken: "r" });
      expect(onlyCall().context.header.has("authorization")).to.be.false;
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

  describe("the caller", () => {
    it("is told exactly four members by /auth/me", async () => {
      const reply = await gateway.send("GET", "/auth/me", bearer("a"));
      expect(parsed(reply)).to.deep.equal(ACCOUNT_BODY);
      expect(onlyCall().rpc).to.equal("GetMe");
    });

    it("reaches the RPC as authorization, address and agent, with the route's pattern and nothing else", async () => {
      await gateway.send("GET", "/auth/me", {
        headers: { authorization: "Bearer a", "x-forwarded-for": "203.0.113.9", "user-agent": "ua", cookie: "c=1" },
      });
      const { header, peerAddress, routePattern } = onlyCall().context;
      const passed = { authorization: "Bearer a", "user-agent": "ua", "x-forwarded-for": "203.0.113.9" };
      expect(Object.fromEntries(header)).to.deep.equal(passed);
      expect({ peerAddress, routePattern }).to.deep.equal({ peerAddress: "127.0.0.1", routePattern: "/auth/me" });
    });

    it("aborts the call by going away", async () => {
      const aborted = new Promise<void>((resolve) => {
        gateway.fake.answer = ({ context }) =>
          new Promise((_, reject) => {
            context.signal.addEventListener("abort", () => {
              reject(new ConnectError("Canceled", Code.Canceled));
              resolve();
            });
            socket.destroy();
          });
      });
      const socket = connect(gateway.port, "127.0.0.1");
      socket.write("GET /auth/me HTTP/1.1\r\nHost: x\r\n\r\n");
      await aborted;
      gateway.fake.answer = () => ({ user: USER });
      expect((await gateway.send("GET", "/auth/me")).status).to.equal(200);
      expect(gateway.fake.logged).to.be.empty;
    });
  });

  describe("the documented confirmation route", () => {
    const path = "/api/auth/confirmed_email/a%2Fb";

    it("confirms when no page is asked for", async () => {
      const reply = await gateway.send("GET", path, { headers: { accept: "*/*" } });
      expect(reply.body).to.equal('{"message":"Email confirmed"}');
      expect(onlyCall().request).to.include({ token: "a/b" });
    });

    it("tells an address that was confirmed before, and one whose password must be chosen", async () => {
      gateway.fake.answer = () => ({ alreadyConfirmed: true });
      expect(parsed(await gateway.send("GET", path)).message).to.equal("Your email is already confirmed");
      gateway.fake.answer = () => ({ user: USER, passwordRequired: true, resetToken: "secret" });
      const contested = await gateway.send("GET", path);
      expect(contested.body).to.equal('{"message":"Email confirmed. Check your email to choose a password."}');
    });

    it("sends a browser to the page, and never to the Host that it named", async () => {
      const reply = await gateway.send("GET", path, {
        headers: { accept: "text/html,*/*;q=0.8", host: "evil.example" },
      });
      expect(reply.status).to.equal(303);
      expect(reply.headers.location).to.equal("/account/confirm/a%2Fb");
      expect(gateway.fake.calls).to.be.empty;
    });

    it("puts the public URL's path before the page's", async () => {
      const other = await startFakeGateway({ publicUrl: "https://example.com/login" });
      const reply = await other.send("GET", path, { headers: { accept: "text/html" } });
      other.close();
      expect(reply.headers.location).to.equal("/login/account/confirm/a%2Fb");
    });

    it("changes nothing on HEAD", async () => {
      expect((await gateway.send("HEAD", path)).status).to.equal(200);
      expect(gateway.fake.calls).to.be.empty;
    });

    it("answers 400 to a bad token", async () => {
      refuseWith("INVALID_TOKEN");
      const reply = await gateway.send("GET", path);
      expect(reply.status).to.equal(400);
      expect(reply.body).to.equal('{"detail":"Invalid or expired token","code":"INVALID_TOKEN"}');
      expect(reply.headers).not.to.have.property("www-authenticate");
    });

    it("takes a token that cannot be decoded as it is", async () => {
      await gateway.send("GET", "/api/auth/confirmed_email/%E0%A4");
      expect(onlyCall().request).to.include({ token: "%E0%A4" });
    });
  });

  it("says whether a confirmation mail was sent", async () => {
    gateway.fake.answer = () => ({});
    const sent = await gateway.send("POST", "/api/auth/request_email", json({ email: "a@x.io" }));
    gateway.fake.answer = () => ({ alreadyConfirmed: true });
    const known = await gateway.send("POST", "/api/auth/request_email", json({ email: "a@x.io" }));
    expect(parsed(sent)).to.deep.equal({ message: "Check your email for confirmation." });
    expect(parsed(known)).to.deep.equal({ message: "Your email is already confirmed" });
  });

  describe("blocking", () => {
    const path = "/api/auth/block_user/41";

    for (const [what, sent, query, isActive] of [
      ["JSON", json({ is_active: false }), "", false],
      ["JSON text", json({ is_active: "FALSE" }), "", false],
      ["a JSON number", json({ is_active: 1 }), "", true],
      ["a form", form("is_active=0"), "", false],
      ["the query", {}, "?is_active=True", true],
      ["both, alike", json({ is_active: true }), "?is_active=1", true],
    ] as const) {
      it(`reads is_active from ${what}`, async () => {
        gateway.fake.answer = () => ({ user: { ...USER, isActive } });
        const reply = await gateway.send("POST", path + query, sent);
        expect(parsed(reply)).to.deep.equal({
          message: isActive ? "User unblocked" : "User blocked",
          ...{ ...ACCOUNT_BODY, is_active: isActive },
        });
        expect(onlyCall().request).to.include({ userId: 41n, isActive });
      });
    }

    it("leaves a missing is_active to the RPC", async () => {
      await gateway.send("POST", path);
      expect(onlyCall().request.isActive).to.be.undefined;
    });

    for (const [sent, query, place] of [
      [json({ is_active: true }), "?is_active=false", "body"],
      [{}, "?is_active=true&is_active=false", "query"],
      [{}, "?is_active=maybe", "query"],
      [json({ is_active: 2 }), "", "body"],
      [json({ is_active: [true] }), "", "body"],
    ] as const) {
      it(`refuses ${JSON.stringify(sent)} with ${query || "no query"}`, async () => {
        const reply = await gateway.send("POST", path + query, sent);
        expectFault(reply, { loc: [place, "is_active"], type: "malformed" });
        expect(gateway.fake.calls).to.be.empty;
      });
    }

    for (const id of ["ada", "1.5", "99999999999999999999", "9223372036854775808", "0x10"]) {
      it(`refuses the id ${id}`, async () => {
        const reply = await gateway.send("POST", `/api/auth/block_user/${id}`, json({ is_active: true }));
        expectFault(reply, { loc: ["path", "user_id"], type: "malformed" });
      });
    }

    it("answers 404 to an unknown user and 409 for the last admin", async () => {
      refuseWith("USER_NOT_FOUND");
      expect((await gateway.send("POST", path, json({ is_active: false }))).status).to.equal(404);
      refuseWith("LAST_ADMIN");
      expect((await gateway.send("POST", path, json({ is_active: false }))).status).to.equal(409);
    });
  });
});
