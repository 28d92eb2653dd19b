import { createServer } from "node:net";
import { expect } from "chai";
import { createOperator } from "../src/rpc/operator.ts";
import { createSecret } from "../src/secret.ts";
import { newPerson } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { startSmtp, type TestSmtp } from "./support/smtp.ts";
import { passTime } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";

interface MailRow {
  readonly state: string;
  readonly attempts: number;
  readonly last_error: string | null;
}

describe("mail", () => {
  let smtp: TestSmtp;
  let service: TestService;
  before(async () => {
    smtp = await startSmtp();
    service = await startService({
      config: { smtpUrl: createSecret(smtp.url), mailFrom: "Latchkey <no-reply@example.com>" },
    });
  });
  after(async () => {
    await service.stop();
    await smtp.stop();
  });
  beforeEach(() => {
    smtp.manner = "takes";
    smtp.received.length = 0;
  });

  const rowOf = async (email: string): Promise<MailRow | undefined> =>
    (
      await service.database.query<MailRow>("SELECT state, attempts, last_error FROM mails WHERE recipient = $1", email)
    )[0];
  const tried = (email: string) => waitUntil(async () => ((await rowOf(email))?.attempts ?? 0) > 0);
  // Past the first waits of the queue's backoff.
  const passBackoff = () => passTime(service, 30_000);
  const arrived = (email: string) =>
    waitUntil(() => smtp.received.some(({ recipients }) => recipients.includes(email)));

  it("goes to one recipient as text and HTML, from the configured sender", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    await arrived(person.email);
    const [mail] = smtp.received;
    expect(mail?.recipients).to.deep.equal([person.email]);
    for (const part of [
      "From: Latchkey <no-reply@example.com>",
      "text/plain",
      "text/html",
      "Auto-Submitted: auto-generated",
      "Message-ID: <mail-",
    ]) {
      expect(mail?.raw).to.include(part);
    }
    await waitUntil(async () => (await rowOf(person.email))?.state === "sent");
  });

  it("does not keep a sign-up waiting when the server is down, and arrives when it is back", async () => {
    await smtp.stop();
    const person = newPerson();
    await service.auth.signUp(person);
    await tried(person.email);
    expect(await rowOf(person.email)).to.include({ state: "queued" });
    await smtp.start();
    await passBackoff();
    await arrived(person.email);
  });

  it("arrives after half an hour without a server within the longest wait of 30 s", async () => {
    await smtp.stop();
    const person = newPerson();
    await service.auth.signUp(person);
    for (let tens = 0; tens < 3; tens++) {
      await waitUntil(async () => ((await rowOf(person.email))?.attempts ?? 0) > tens);
      await passTime(service, 600_000);
    }
    await service.database.query("UPDATE graphile_worker._private_jobs SET run_at = now() + interval '4 hours'");
    const isNear = async () => {
      const [job] = await service.database.query<{ near: boolean }>(
        "SELECT run_at <= now() + interval '30 s' AS near FROM graphile_worker.jobs",
      );
      return job?.near ?? false;
    };
    await waitUntil(isNear);
    await smtp.start();
    await passBackoff();
    await arrived(person.email);
  });

  for (const manner of ["refuses", "drops"] as const) {
    it(`is tried again when the server ${manner} it, and comes once`, async () => {
      smtp.manner = manner;
      const person = newPerson();
      await service.auth.signUp(person);
      await tried(person.email);
      smtp.manner = "takes";
      await passBackoff();
      await arrived(person.email);
      await waitUntil(async () => (await rowOf(person.email))?.state === "sent");
      expect(smtp.received).to.have.length(1);
    });
  }

  it("is given up when its link has expired", async () => {
    await smtp.stop();
    const person = newPerson();
    await service.auth.signUp(person);
    await tried(person.email);
    await passTime(service, 25 * 3_600_000);
    await waitUntil(async () => (await rowOf(person.email))?.state === "failed");
    await smtp.start();
  });

  it("to an account that was deleted is not sent, and leaves the queue quietly", async () => {
    smtp.manner = "refuses";
    const person = newPerson();
    const { user } = await service.auth.signUp(person);
    await tried(person.email);
    await createOperator(service.app).delete(user?.id ?? 0n);
    const told = service.lines.length;
    smtp.manner = "takes";
    await passBackoff();
    await waitUntil(async () => (await service.database.query("SELECT 1 FROM graphile_worker.jobs")).length === 0);
    expect(smtp.received).to.deep.equal([]);
    expect(service.lines.slice(told).filter((line) => /"level":"(warn|error)"/.test(line))).to.deep.equal([]);
  });

  it("comes once each when two processes send", async () => {
    const second = await startService({ config: service.config, database: service.database, clock: service.clock });
    const people = Array.from({ length: 40 }, newPerson);
    await Promise.all(people.map((person, index) => (index % 2 ? service : second).auth.signUp(person)));
    const emails = people.map(({ email }) => email).sort();
    const receivers = () => smtp.received.flatMap(({ recipients }) => recipients).sort();
    await waitUntil(() => receivers().length >= emails.length);
    await second.stop();
    expect(receivers()).to.deep.equal(emails);
  });
});

describe("mail to a server that hangs", () => {
  it("costs a sign-up nothing, and is given back to the queue", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await waitUntil(() => silent.listening);
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : 0;
    const service = await startService({ config: { smtpUrl: createSecret(`smtp://127.0.0.1:${port}`) } });
    const person = newPerson();
    await service.auth.signUp(person);
    const [row] = await service.database.query<MailRow>("SELECT state, attempts, last_error FROM mails");
    expect(row).to.include({ state: "queued", attempts: 0 });
    await waitUntil(
      async () => (await service.database.query("SELECT 1 FROM mails WHERE attempts = 1")).length > 0,
      12_000,
    );
    await service.stop();
    silent.close();
  });
});
