import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect } from "chai";
import { SMTPServer } from "smtp-server";
import { createAuthority } from "./support/certificates.ts";
import { examine, type Settings, settingsOn } from "./support/doctor.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { startSmtp } from "./support/smtp.ts";

describe("the doctor, of mails,", () => {
  let database: TestDatabase;
  let settings: Settings;
  before(async () => {
    database = await createTestDatabase();
    settings = settingsOn(database);
  });
  after(() => database.drop());

  const examineSmtp = async (url: string) => {
    const found = await examine({ ...settings, SMTP_URL: url });
    expect(JSON.stringify(found)).to.not.include("canary");
    return found.smtp;
  };

  it("says where they are shown when there is no SMTP server", async () => {
    const { smtp } = await examine({ ...settings, PUBLIC_URL: "http://localhost:8080" });
    expect(smtp).to.include({ status: "ok", finding: "none: mails are shown at http://localhost:8080/dev/mailbox" });
  });

  it("goes as far with an SMTP server as it can without a mail", async () => {
    const smtp = await startSmtp();
    const address = smtp.url.slice("smtp://".length);
    expect(await examineSmtp(smtp.url)).to.include({ status: "ok", finding: `${address} answers` });
    expect(await examineSmtp(`smtp://latchkey:canary@${address}`)).to.include({ status: "warning" });
    await smtp.stop();
    expect(smtp.received).to.deep.equal([]);
    const dead = await examineSmtp(smtp.url);
    expect(dead).to.include({ status: "failed", finding: `${address} cannot be reached (ECONNREFUSED)` });
  });

  it("signs in, and tells when that is refused", async () => {
    const smtp = await startSmtp({ password: "the right canary" });
    const address = smtp.url.slice("smtp://".length);
    const signIn = (password: string) => examineSmtp(`smtp://latchkey:${encodeURIComponent(password)}@${address}`);
    expect(await signIn("the right canary")).to.include({ status: "ok", finding: `${address} answers, signed in` });
    const refused = await signIn("a wrong canary");
    expect(refused).to.include({ status: "failed", finding: `${address} refuses user or password (535)` });
    await smtp.stop();
  });

  it("trusts a server's TLS as the service does", async () => {
    const pair = await (await createAuthority()).issue();
    const server = new SMTPServer({ ...pair, secure: true, authOptional: true, closeTimeout: 100 });
    server.on("error", () => {}).listen(0, "127.0.0.1");
    await once(server.server, "listening");
    const address = `127.0.0.1:${(server.server.address() as AddressInfo).port}`;
    const untrusted = await examineSmtp(`smtps://${address}`);
    const told = await examineSmtp(`smtps://${address}?tls.rejectUnauthorized=false`);
    await new Promise<void>((resolve) => server.close(resolve));
    expect(untrusted).to.include({ status: "failed" });
    expect(untrusted?.finding).to.match(/gives no TLS that can be trusted \([A-Z_]+\)$/);
    expect(told).to.include({ status: "ok", finding: `${address} answers, by TLS` });
  });

  for (const [manner, greeting, finding] of [
    ["turns this machine away", "554 canary\r\n", "refuses this machine (554)"],
    ["says nothing", "", "does not answer (ETIMEDOUT)"],
  ] as const) {
    it(`gives up on a server that ${manner}`, async () => {
      const server = createServer((socket) => void socket.on("error", () => {}).write(greeting)).listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      const found = await examineSmtp(`smtp://${address}`);
      server.close();
      expect(found).to.include({ status: "failed", finding: `${address} ${finding}` });
    });
  }

  it("warns of mails that wait for long, and of those that were given up", async () => {
    const addMail = (state: string, age: string) =>
      database.query(
        `INSERT INTO mails (template, recipient, state, created_at, give_up_at)
         VALUES ('confirm-email', 'canary@example.com', $1, now() - $2::interval, now() + interval '1 h')`,
        ...[state, age],
      );
    const look = async () => {
      const found = await examine(settings);
      expect(JSON.stringify(found)).to.not.include("canary");
      return found.outbox;
    };
    await addMail("sent", "1 h");
    await addMail("queued", "2 s");
    expect(await look()).to.include({ status: "ok" });
    await addMail("queued", "20 m");
    const waiting = await look();
    expect(waiting?.status).to.equal("warning");
    expect(waiting?.finding).to.match(/^2 waiting, the oldest for 12\d\d s; 0 given up in two days$/);
    await database.query("UPDATE mails SET state = 'failed'");
    expect(await look()).to.include({ status: "warning", finding: "0 waiting; 3 given up in two days" });
  });
});
