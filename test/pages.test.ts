import { createHash } from "node:crypto";
import { expect } from "chai";
import { type FakeGateway, type Reply, type Sent, startFakeGateway } from "./support/fake-gateway.ts";
import { expectSoundHtml } from "./support/sound-html.ts";

const EVIL = `"><script>alert('1')</script>`;
const ESCAPED = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;";

const form = (members: Record<string, string>): Sent => ({
  headers: { "content-type": "application/x-www-form-urlencoded" },
  body: new URLSearchParams(members).toString(),
});
const heading = ({ body }: Reply) => /<h1>(.*?)<\/h1>/.exec(body)?.[1];
const hidden = (name: string, value: string) => `<input type="hidden" name="${name}" value="${value}">`;

describe("Pages under /account/", () => {
  let gateway: FakeGateway;

  beforeEach(async () => {
    gateway = await startFakeGateway({ passwordMinLength: 10 });
  });
  afterEach(() => gateway.close());

  const expectPage = (reply: Reply, status: number, title: string) => {
    expect([reply.status, heading(reply)]).to.deep.equal([status, title]);
    expect(reply.headers["content-type"]).to.equal("text/html; charset=utf-8");
    expectSoundHtml(reply.body);
  };

  it("keep their addresses from caches, frames, scripts and other sites", async () => {
    for (const path of ["/account/confirm/t", "/account/reset/t", "/account/confirm", "/account/reset"]) {
      const { headers, body } = await gateway.send("GET", path);
      const style = /<style>([\s\S]*?)<\/style>/.exec(body)?.[1] ?? "";
      const hash = createHash("sha256").update(style).digest("base64");
      expect(headers["content-security-policy"]).to.equal(
        `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
      );
      expect(headers).to.include({
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
      });
      expect(body).not.to.match(/<script|style="|\son\w+=|https?:\/\//);
    }
  });

  it("are the same for every token, which is not looked up", async () => {
    for (const flow of ["confirm", "reset"]) {
      const pages = await Promise.all(["one", "two"].map((token) => gateway.send("GET", `/account/${flow}/${token}`)));
      const [one, two] = pages.map(({ body }) => body.replaceAll(/value="(one|two)"/g, ""));
      expect(one).to.equal(two);
      expect(pages[0]?.body).to.contain(hidden("token", "one"));
    }
    expect((await gateway.send("HEAD", "/account/confirm/one")).body).to.equal("");
    expect((await gateway.send("GET", "/account/confirm/one", { headers: { accept: "*/*" } })).status).to.equal(200);
    expect(gateway.fake.calls).to.be.empty;
  });

  it("show a token as text, whatever it is", async () => {
    for (const flow of ["confirm", "reset"]) {
      const reply = await gateway.send("GET", `/account/${flow}/${encodeURIComponent(EVIL)}`);
      expect(reply.body).to.contain(hidden("token", ESCAPED)).and.not.to.contain("<script");
      expectSoundHtml(reply.body);
    }
  });

  it("put the public URL's path before their own", async () => {
    const other = await startFakeGateway({ publicUrl: "https://example.com/login/" });
    const { body } = await other.send("GET", "/account/reset/t");
    other.close();
    expect(body).to.contain('action="/login/account/reset"');
  });

  describe("confirming", () => {
    const confirm = (token = "t") => gateway.send("POST", "/account/confirm", form({ token }));

    it("has one form with one button", async () => {
      const reply = await gateway.send("GET", "/account/confirm/t");
      expectPage(reply, 200, "Confirm your email address");
      expect(reply.body.match(/<form method="post" action="\/account\/confirm">/g)).to.have.length(1);
      expect(reply.body.match(/<button/g)).to.have.length(1);
    });

    it("confirms, with the route's pattern for the log", async () => {
      expectPage(await confirm(), 200, "Email confirmed");
      const { rpc, request, context } = gateway.fake.calls[0] ?? expect.fail();
      expect({ rpc, request }).to.deep.equal({ rpc: "ConfirmEmail", request: { token: "t", email: "", code: "" } });
      expect(context.routePattern).to.equal("/account/confirm");
    });

    it("says that it was confirmed before", async () => {
      gateway.fake.answer = () => ({ alreadyConfirmed: true });
      expectPage(await confirm(), 200, "Already confirmed");
    });

    it("goes on to a new password when two people had signed up", async () => {
      gateway.fake.answer = () => ({ user: { email: EVIL }, passwordRequired: true, resetToken: EVIL });
      const reply = await confirm();
      expectPage(reply, 200, "Choose a password");
      expect(reply.body).to.contain(`<strong>${ESCAPED}</strong>`).and.not.to.contain("<script");
      expect(reply.body).to.contain('action="/account/reset"').and.contain(hidden("token", ESCAPED));
    });

    it("offers a new mail for every kind of bad token, alike", async () => {
      gateway.refuseWith("INVALID_TOKEN");
      const wrong = await confirm();
      gateway.refuseWith("INVALID_ARGUMENT", {
        violations: [{ field: "token", reason: "REQUIRED", description: "x" }],
      });
      const none = await confirm("");
      expectPage(wrong, 400, "This link does not work");
      expect(wrong.body).to.contain('action="/account/confirm/request"');
      expect([none.status, none.body]).to.deep.equal([wrong.status, wrong.body]);
    });

    it("lets the caller try again when the service is busy", async () => {
      for (const [reason, status] of [
        ["OVERLOADED", 503],
        ["UNAVAILABLE", 503],
        ["DEADLINE_EXCEEDED", 504],
      ] as const) {
        gateway.refuseWith(reason, { retryAfterMs: 1500 });
        const reply = await confirm("again");
        expectPage(reply, status, "Try again in a moment");
        expect(reply.headers["retry-after"]).to.equal("2");
        expect(reply.body).to.contain(hidden("token", "again"));
      }
    });

    it("tells nothing of what nobody foresaw", async () => {
      gateway.fake.answer = () => {
        throw new Error("relation users does not exist");
      };
      const reply = await confirm();
      expectPage(reply, 500, "Something went wrong");
      expect(reply.body).not.to.contain("relation");
      expect(gateway.fake.logged).to.have.length(1);
    });

    it("takes nothing but a form", async () => {
      const body = JSON.stringify({ token: "t" });
      const reply = await gateway.send("POST", "/account/confirm", {
        headers: { "content-type": "application/json" },
        body,
      });
      expectPage(reply, 415, "This form could not be read");
      expect(gateway.fake.calls).to.be.empty;
    });
  });

  describe("resetting", () => {
    const reset = (token = "t", password = "correct horse") =>
      gateway.send("POST", "/account/reset", form({ token, new_password: password }));

    it("asks for the new password and tells its least length", async () => {
      const reply = await gateway.send("GET", "/account/reset/t");
      expectPage(reply, 200, "Choose a new password");
      expect(reply.body).to.contain('autocomplete="new-password"').and.contain("At least 10 characters");
    });

    it("sets it", async () => {
      expectPage(await reset(), 200, "Password changed");
      const request = { token: "t", newPassword: "correct horse" };
      expect(gateway.fake.calls[0]).to.deep.include({ rpc: "ResetPassword", request });
    });

    for (const [reason, words] of [
      ["PASSWORD_TOO_COMMON", "one of the most common"],
      ["PASSWORD_LIKE_ACCOUNT", "must not be your username"],
      ["TOO_SHORT", "The password must be at least &lt;10&gt; characters."],
      ["REQUIRED", "Enter a new password"],
    ] as const) {
      it(`asks again after ${reason}, with the token and without the password`, async () => {
        const description = "must be at least <10> characters";
        gateway.refuseWith("INVALID_ARGUMENT", { violations: [{ field: "new_password", reason, description }] });
        const reply = await reset("t", "hunter2hunter2");
        expectPage(reply, 422, "Choose a new password");
        expect(reply.body).to.contain(words).and.contain(hidden("token", "t")).and.contain('aria-invalid="true"');
        expect(reply.body).not.to.contain("hunter2");
      });
    }

    it("offers a new mail for a bad token", async () => {
      gateway.refuseWith("INVALID_TOKEN");
      const reply = await reset();
      expectPage(reply, 400, "This link does not work");
      expect(reply.body).to.contain('action="/account/reset/request"');
    });

    it("lets the caller try again when too many passwords wait", async () => {
      gateway.refuseWith("OVERLOADED", { retryAfterMs: 1 });
      const reply = await reset();
      expectPage(reply, 503, "Try again in a moment");
      expect(reply.body).to.contain(hidden("token", "t")).and.contain('name="new_password"');
    });
  });

  describe("asking for a new mail", () => {
    for (const [flow, rpc] of [
      ["confirm", "RequestEmailConfirmation"],
      ["reset", "RequestPasswordReset"],
    ] as const) {
      const path = `/account/${flow}/request`;

      it(`has a form at /account/${flow}, which is also a link without its token, and where that is posted to`, async () => {
        for (const place of [`/account/${flow}`, `/account/${flow}/`, path]) {
          const reply = await gateway.send("GET", place);
          expect(reply.body).to.contain(`action="${path}"`);
          expectSoundHtml(reply.body);
        }
      });

      it(`says to check the mail after ${path}`, async () => {
        expectPage(await gateway.send("POST", path, form({ email: "a@x.io" })), 200, "Check your email");
        expect(gateway.fake.calls[0]).to.deep.include({ rpc, request: { email: "a@x.io" } });
      });

      it(`asks again for an address that ${path} cannot read`, async () => {
        gateway.refuseWith("INVALID_ARGUMENT", {
          violations: [{ field: "email", reason: "MALFORMED", description: "x" }],
        });
        const reply = await gateway.send("POST", path, form({ email: EVIL }));
        expect(reply.status).to.equal(422);
        expect(reply.body).to.contain(`value="${ESCAPED}" aria-invalid="true" autofocus aria-describedby="error"`);
        expect(reply.body).not.to.contain("<script");
        expectSoundHtml(reply.body);
      });
    }

    it("says when the address is confirmed already", async () => {
      gateway.fake.answer = () => ({ alreadyConfirmed: true });
      const reply = await gateway.send("POST", "/account/confirm/request", form({ email: "a@x.io" }));
      expectPage(reply, 200, "Already confirmed");
    });
  });
});
