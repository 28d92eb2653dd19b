import { expect } from "chai";
import { type MailData, renderMail } from "../src/mail/templates.ts";
import { expectSoundHtml } from "./support/sound-html.ts";

const DATA: MailData = {
  username: "ada",
  publicUrl: "https://sign-in.example/login",
  token: "t-1",
  code: null,
};
const NOTICES = [
  ["address-in-use", "You already have an account", "no account was made"],
  ["already-confirmed", "Your email address is already confirmed", "nothing has changed"],
] as const;
const TEMPLATES = ["confirm-email", "reset-password", "choose-password"] as const;

describe("Mails", () => {
  for (const template of TEMPLATES) {
    const path = template === "confirm-email" ? "confirm" : "reset";

    it(`give ${template} its link in both forms, and a way out for who did not ask`, () => {
      const { text, html, link } = renderMail(template, DATA);
      expect(link).to.equal(`https://sign-in.example/login/account/${path}/t-1`);
      expect(text).to.contain(`\n${link}\n`);
      expect(html).to.contain(`href="${link}"`);
      for (const form of [text, html]) {
        expect(form).to.contain("Hello ada,").and.contain("If this was not you, ignore this mail");
        expect(form).to.contain(path === "confirm" ? "valid for 24 hours" : "valid for 30 minutes");
      }
      expectSoundHtml(html);
    });

    it(`show a username in ${template} as text on one line`, () => {
      const username = `<script>alert("1")</script>&\r\nBcc: x@y.io\u2028\u202eforged\0`;
      const { subject, text, html } = renderMail(template, { ...DATA, username });
      expect(text.split("\n")[0]).to.equal('Hello <script>alert("1")</script>&Bcc: x@y.ioforged,');
      expect(text).not.to.match(/[\r\u2028\u202e\0]/);
      expect(html)
        .to.contain("Hello &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;Bcc")
        .and.not.contain("<script");
      expect(subject).not.to.contain("script");
      expectSoundHtml(html);
    });
  }

  it("tell of a changed password with a link that holds no token, and what to do", () => {
    const { subject, text, html, link } = renderMail("password-changed", { ...DATA, token: null });
    expect(subject).to.equal("Your password was changed");
    expect(link).to.equal("https://sign-in.example/login/account/reset");
    expect(text).to.contain(`\n${link}\n`);
    expect(html).to.contain(`href="${link}"`);
    for (const form of [text, html]) {
      expect(form).to.contain("Hello ada,").and.contain("If this was not you, choose a new password at once");
      expect(form).not.to.contain("valid for");
    }
    expectSoundHtml(html);
  });

  for (const [template, subject, otherwise] of NOTICES) {
    it(`tell in ${template} what there is already, with a link that holds no token`, () => {
      const mail = renderMail(template, { ...DATA, token: null });
      expect(mail.subject).to.equal(subject);
      expect(mail.link).to.equal("https://sign-in.example/login/account/reset");
      expect(mail.text).to.contain(`\n${mail.link}\n`);
      expect(mail.html).to.contain(`href="${mail.link}"`);
      for (const form of [mail.text, mail.html]) {
        expect(form).to.contain("Hello ada,").and.contain("sign in").and.contain("choose a new one here");
        expect(form).to.contain(`If this was not you, ignore this mail: ${otherwise}`).and.not.contain("code");
      }
      expectSoundHtml(mail.html);
    });
  }

  it("tell the code of a confirmation and how long it is good for", () => {
    const { text, html, subject } = renderMail("confirm-email", { ...DATA, code: "042137" });
    for (const form of [text, html]) expect(form).to.contain("042137").and.contain("The code is valid for 10 minutes.");
    expect(subject).not.to.contain("042137");
    expect(renderMail("confirm-email", DATA).text).not.to.contain("code");
  });

  it("keep a token from breaking out of the link", () => {
    const { html, link } = renderMail("reset-password", { ...DATA, token: `a/b"><script>` });
    expect(link).to.match(/\/account\/reset\/a%2Fb%22%3E%3Cscript%3E$/);
    expectSoundHtml(html);
  });

  it("leave an empty name out of the greeting and cut a long one", () => {
    expect(renderMail("reset-password", { ...DATA, username: "\n" }).text).to.match(/^Hello,\n/);
    expect(renderMail("reset-password", { ...DATA, username: "😀".repeat(99) }).text).to.match(/^Hello (😀){64},\n/u);
  });
});
