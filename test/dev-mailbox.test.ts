import { expect } from "chai";
import type { Mailbox, MailboxEntry } from "../src/mail/mailbox-entry.ts";
import { renderMail } from "../src/mail/templates.ts";
import { type FakeGateway, type Sent, startFakeGateway } from "./support/fake-gateway.ts";
import { expectSoundHtml } from "./support/sound-html.ts";

const EVIL = `"><script>alert('1')</script>`;
const ESCAPED = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;";

describe("The development mailbox", () => {
  const entry = (id: number, to: string): MailboxEntry => ({
    ...renderMail("confirm-email", {
      username: EVIL,
      publicUrl: "http://localhost:1",
      token: "t",
      code: "123456",
    }),
    ...{ id, to, code: "123456", createdAt: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)), state: "sent" },
  });
  const mails = [entry(2, "bea@x.io"), entry(1, "ada@x.io")];
  const mailbox: Mailbox = {
    list: async ({ to }) => mails.filter((mail) => to === undefined || mail.to === to),
    find: async (id) => mails.find((mail) => mail.id === id) ?? null,
  };
  const asJson: Sent = { headers: { accept: "application/json" } };
  let gateway: FakeGateway;

  before(async () => {
    gateway = await startFakeGateway({ mailbox });
  });
  after(() => gateway.close());

  it("does not exist without a mailbox", async () => {
    const other = await startFakeGateway();
    const statuses = await Promise.all(["", "/1", "/1/html"].map((path) => other.send("GET", `/dev/mailbox${path}`)));
    other.close();
    expect(statuses.map(({ status }) => status)).to.deep.equal([404, 404, 404]);
  });

  it("is not there under another name of this machine, which a page elsewhere could give it", async () => {
    const statusOf = async (host: string) => (await gateway.send("GET", "/dev/mailbox", { headers: { host } })).status;
    for (const host of ["evil.example", "evil.example:8080", "localhost.evil.example"])
      expect(await statusOf(host)).to.equal(404);
    for (const host of ["localhost:8080", "127.0.0.1", "[::1]:8080", "sign-in.example"])
      expect(await statusOf(host), host).to.equal(200);
  });

  it("lists mails in the order it is given, or those to one address", async () => {
    const all = await gateway.send("GET", "/dev/mailbox");
    expectSoundHtml(all.body);
    expect(all.body.match(/\/dev\/mailbox\/\d/g)).to.deep.equal(["/dev/mailbox/2", "/dev/mailbox/1"]);
    const some = await gateway.send("GET", "/dev/mailbox?to=ada%40x.io");
    expect(some.body).to.contain("/dev/mailbox/1").and.not.to.contain("/dev/mailbox/2");
    const none = await gateway.send("GET", `/dev/mailbox?to=${encodeURIComponent(EVIL)}`);
    expectSoundHtml(none.body);
    expect(none.body).to.contain(`No mail to ${ESCAPED}.`);
  });

  it("gives scripts the mails as JSON", async () => {
    const list = JSON.parse((await gateway.send("GET", "/dev/mailbox", asJson)).body);
    const one = JSON.parse((await gateway.send("GET", "/dev/mailbox/1", asJson)).body);
    expect(list).to.have.length(2);
    expect(list[1]).to.deep.equal(one);
    const { text, html } = entry(1, "");
    expect(one).to.deep.equal({
      ...{ id: 1, to: "ada@x.io", subject: "Confirm your email address", create_time: "2026-01-02T03:04:05.000Z" },
      ...{ state: "sent", text, html, link: "http://localhost:1/account/confirm/t", code: "123456" },
    });
  });

  it("shows a mail with its link and code, the HTML shut into a sandbox", async () => {
    const reply = await gateway.send("GET", "/dev/mailbox/1");
    expectSoundHtml(reply.body);
    expect(reply.body).to.contain('<a href="http://localhost:1/account/confirm/t">').and.contain("123456");
    expect(reply.body).to.match(/<iframe src="\/dev\/mailbox\/1\/html"[^>]* sandbox="/);
    expect(reply.headers["content-security-policy"]).to.contain("frame-src 'self'; form-action 'self'");
  });

  it("serves the HTML without scripts and the text as text", async () => {
    const markup = await gateway.send("GET", "/dev/mailbox/1/html");
    expect(markup.headers["content-security-policy"]).to.match(/^sandbox allow-popups .*default-src 'none'/);
    expect(markup.body).to.equal(mails[1]?.html);
    const text = await gateway.send("GET", "/dev/mailbox/1/text");
    expect(text.headers["content-type"]).to.equal("text/plain; charset=utf-8");
    expect(text.body).to.equal(mails[1]?.text);
  });

  it("answers 404 to ids that are none", async () => {
    for (const id of ["9", "x", "-1", "99999999999999999999"]) {
      expect((await gateway.send("GET", `/dev/mailbox/${id}`)).status).to.equal(404);
    }
  });
});
