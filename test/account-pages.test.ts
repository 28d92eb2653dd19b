import { expect } from "chai";
import { createSecret } from "../src/secret.ts";
import { type HttpAnswer, postForm, postJson, send } from "./support/http.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";

const heading = ({ text }: HttpAnswer) => /<h1>(.*?)<\/h1>/.exec(text)?.[1];

function expectPage(page: HttpAnswer, status: number, title: string): HttpAnswer {
  expect([page.status, heading(page)]).to.deep.equal([status, title]);
  const headers = Object.fromEntries(page.headers);
  expect(headers).to.include({ "content-type": "text/html; charset=utf-8", "referrer-policy": "no-referrer" });
  expect(headers).to.include({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
  expect(headers["content-security-policy"]).to.match(/^default-src 'none'; style-src 'sha256-/);
  return page;
}

describe("the pages that mails link to", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  /** What a browser does: the page's one form is sent where it says, with its hidden members and what was typed. */
  const submit = ({ text }: HttpAnswer, typed: Record<string, string> = {}) => {
    const [, action = ""] = /<form method="post" action="([^"]+)">/.exec(text) ?? [];
    const hidden = [...text.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)];
    return postForm(service, action, {
      ...Object.fromEntries(hidden.map(([, name, value]) => [name, value])),
      ...typed,
    });
  };
  /** Opens the newest mail's link. */
  const open = async (email: string, count = 1) => {
    const { kind, token } = await readMail(service, email, count);
    return { token, page: await send(service, `/account/${kind}/${token}`, { headers: { accept: "*/*" } }) };
  };
  const signUp = async (person = newPerson()) => {
    await postJson(service, "/api/auth/signup", person);
    return person;
  };
  const login = async (login: string, password = PASSWORD) => refusalOf(service.auth.signIn({ login, password }));

  it("confirm by their button alone, and say so when that was done before", async () => {
    const { username, email } = await signUp();
    const { page, token } = await open(email);
    expectPage(page, 200, "Confirm your email address");
    for (const init of [{ method: "HEAD" }, { headers: { accept: "text/html" } }, {}])
      expect((await send(service, `/account/confirm/${token}`, init)).status).to.equal(200);
    expect(await login(username)).to.equal("EMAIL_NOT_CONFIRMED");
    expectPage(await submit(page), 200, "Email confirmed");
    expect(await login(username)).to.equal("");
    expectPage(await submit(page), 200, "Already confirmed");
  });

  it("answer a wrong or old confirmation with one page, whose form sends a new mail", async () => {
    const { username, email } = await signUp();
    const { page } = await open(email);
    await passTime(service, 25 * 3_600_000);
    const old = expectPage(await submit(page), 400, "This link does not work");
    const wrong = expectPage(await postForm(service, "/account/confirm", { token: "junk" }), 400, heading(old) ?? "");
    expect(wrong.text).to.equal(old.text);
    expectPage(await submit(old, { email }), 200, "Check your email");
    expectPage(await submit((await open(email, 2)).page), 200, "Email confirmed");
    expect(await login(username)).to.equal("");
  });

  it("let neither of two people's passwords live when both signed up with one address", async () => {
    const { username, email } = await signUp({ ...newPerson(), password: "the first password" });
    await signUp({ ...newPerson(), email, password: "the second password" });
    const { page } = await open(email, 2);
    const choose = expectPage(await submit(page), 200, "Choose a password");
    for (const planted of ["the first password", "the second password"])
      expect(await login(email, planted)).to.equal("INVALID_CREDENTIALS");
    expectPage(await submit(choose, { new_password: "one of my own" }), 200, "Password changed");
    for (const planted of ["the first password", "the second password"])
      expect(await login(email, planted)).to.equal("INVALID_CREDENTIALS");
    expect(await login(username, "one of my own")).to.equal("");
    expect(await mailedTo(service, email)).to.deep.equal(["confirm-email", "confirm-email", "choose-password"]);
  });

  it("set a new password once, end every session and keep the token while the password is refused", async () => {
    const { username, email } = await signUpConfirmed(service);
    const { options } = await signIn(service, { username, password: PASSWORD });
    expectPage(await postForm(service, "/account/reset/request", { email }), 200, "Check your email");
    const { page, token } = await open(email, 2);
    expectPage(page, 200, "Choose a new password");
    for (const [refused, words] of [
      ["short", "at least 8 characters"],
      ["password123", "one of the most common"],
      [email, "must not be your username or email address"],
      ["", "Enter a new password"],
    ] as const) {
      const again = expectPage(await submit(page, { new_password: refused }), 422, "Choose a new password");
      expect(again.text).to.contain(words).and.contain(`value="${token}"`);
      if (refused !== "") expect(again.text).not.to.contain(refused);
    }
    expect(await refusalOf(service.auth.getMe({}, options))).to.equal("");
    expectPage(await submit(page, { new_password: "a better password" }), 200, "Password changed");
    expect(await refusalOf(service.auth.getMe({}, options))).to.equal("INVALID_TOKEN");
    expect(await login(username)).to.equal("INVALID_CREDENTIALS");
    expect(await login(username, "a better password")).to.equal("");
    expectPage(await submit(page, { new_password: "yet another password" }), 400, "This link does not work");
    expect(await login(username, "a better password")).to.equal("");
  });

  it("answer the same to a reset for an unknown address, and mail nobody", async () => {
    const { email } = await signUpConfirmed(service);
    const [known, unknown] = [
      await postForm(service, "/account/reset/request", { email }),
      await postForm(service, "/account/reset/request", { email: "unknown@example.com" }),
    ];
    expect(unknown.text).to.equal(known.text);
    expect(await mailedTo(service, "unknown@example.com")).to.deep.equal([]);
  });
});

describe("the development mailbox of a service", () => {
  let service: TestService;
  afterEach(() => service.stop());

  it("shows what was mailed as a list, HTML, text and JSON, with the link", async () => {
    service = await startService();
    const { username, email } = newPerson();
    await service.auth.signUp({ username, email, password: PASSWORD });
    const { token, html, text } = await readMail(service, email);
    const json = { headers: { accept: "application/json" } };
    const [entry] = JSON.parse((await send(service, `/dev/mailbox?to=${encodeURIComponent(email)}`, json)).text);
    const link = `http://localhost:8080/account/confirm/${token}`;
    expect(entry).to.include({ to: email, link, html, text, subject: "Confirm your email address" });
    expect(expectPage(await send(service, "/dev/mailbox"), 200, "Development mailbox").text).to.contain(email);
    const page = expectPage(await send(service, `/dev/mailbox/${entry.id}`), 200, "Confirm your email address");
    expect(page.text).to.contain(`<a href="${link}">`);
    expect((await send(service, `/dev/mailbox/${entry.id}/html`)).text).to.equal(html);
    expect((await send(service, `/dev/mailbox/${entry.id}/text`)).text).to.equal(text);
  });

  for (const [where, config] of [
    ["in production", { production: true, smtpUrl: createSecret("smtp://mail.example.com") }],
    ["where SMTP is set up", { smtpUrl: createSecret("smtp://mail.example.com") }],
  ] as const) {
    it(`does not exist ${where}`, async () => {
      service = await startService({ config });
      await service.auth.signUp(newPerson());
      for (const path of ["", "/1", "/1/html", "/1/text"]) {
        const { status, body } = await send(service, `/dev/mailbox${path}`);
        expect([status, body.code]).to.deep.equal([404, "NOT_FOUND"]);
      }
    });
  }
});
