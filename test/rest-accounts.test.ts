import { connect } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { type FakeGateway, startFakeGateway } from "./support/fake-gateway.ts";
import { ACCOUNT_BODY, bearer, expectFault, form, json, parsed, TOKENS, USER } from "./support/rest-samples.ts";

describe("REST routes about accounts", () => {
  let gateway: FakeGateway;

  beforeEach(async () => {
    gateway = await startFakeGateway();
    gateway.fake.answer = () => ({ user: USER, tokens: TOKENS, signedOut: true });
  });
  afterEach(() => gateway.close());

  describe("the caller", () => {
    it("is told exactly four members by /auth/me", async () => {
      const reply = await gateway.send("GET", "/auth/me", bearer("a"));
      expect(parsed(reply)).to.deep.equal(ACCOUNT_BODY);
      expect(gateway.onlyCall().rpc).to.equal("GetMe");
    });

    it("reaches the RPC as authorization, address and agent, with the route's pattern and nothing else", async () => {
      await gateway.send("GET", "/auth/me", {
        headers: { authorization: "Bearer a", "x-forwarded-for": "203.0.113.9", "user-agent": "ua", cookie: "c=1" },
      });
      const { header, peerAddress, routePattern } = gateway.onlyCall().context;
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
      expect(gateway.onlyCall().request).to.include({ token: "a/b" });
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
      gateway.refuseWith("INVALID_TOKEN");
      const reply = await gateway.send("GET", path);
      expect(reply.status).to.equal(400);
      expect(reply.body).to.equal('{"detail":"Invalid or expired token","code":"INVALID_TOKEN"}');
      expect(reply.headers).not.to.have.property("www-authenticate");
    });

    it("takes a token that cannot be decoded as it is", async () => {
      await gateway.send("GET", "/api/auth/confirmed_email/%E0%A4");
      expect(gateway.onlyCall().request).to.include({ token: "%E0%A4" });
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
        expect(gateway.onlyCall().request).to.include({ userId: 41n, isActive });
      });
    }

    it("leaves a missing is_active to the RPC", async () => {
      await gateway.send("POST", path);
      expect(gateway.onlyCall().request.isActive).to.be.undefined;
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
      gateway.refuseWith("USER_NOT_FOUND");
      expect((await gateway.send("POST", path, json({ is_active: false }))).status).to.equal(404);
      gateway.refuseWith("LAST_ADMIN");
      expect((await gateway.send("POST", path, json({ is_active: false }))).status).to.equal(409);
    });
  });
});
