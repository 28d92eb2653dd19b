import { expect } from "chai";
import { newPerson } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { startSmtp, type TestSmtp } from "./support/smtp.ts";
import { waitUntil } from "./support/wait.ts";

describe("mail of a process that is killed", () => {
  const processes: ServiceProcess[] = [];
  let database: TestDatabase;
  let smtp: TestSmtp;
  beforeEach(async () => {
    database = await createTestDatabase();
    smtp = await startSmtp();
  });
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((each) => each.stop()));
    await smtp.stop();
    await database.drop();
  });

  async function start(): Promise<ServiceProcess> {
    processes.push(await startProcess(database, { SMTP_URL: smtp.url, MAIL_FROM: "no-reply@example.com" }));
    return processes.at(-1) as ServiceProcess;
  }

  /** Kills the process with its connections, and lets the next one find its locks old. */
  async function killAndStart(service: ServiceProcess, mend = ""): Promise<void> {
    await service.stop("SIGKILL");
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'latchkey%'",
    );
    await database.query(`${mend} UPDATE graphile_worker._private_jobs SET locked_at = locked_at - interval '30 s'`);
    await start();
  }

  const isDone = async () =>
    (await database.query("SELECT 1 FROM graphile_worker._private_jobs")).length === 0 &&
    (await database.query("SELECT 1 FROM mails WHERE state <> 'sent'")).length === 0;
  const idsOf = () => smtp.received.map(({ raw }) => /^Message-ID: (.*)\r$/im.exec(raw)?.[1]);

  it("before it heard that the server took it comes again, as the same mail", async () => {
    const service = await start();
    smtp.manner = "takes silently";
    await service.auth.signUp(newPerson());
    await waitUntil(() => smtp.received.length === 1);
    smtp.manner = "takes";
    await killAndStart(service);
    await waitUntil(isDone);
    expect(idsOf()).to.have.length(2);
    expect(new Set(idsOf()).size).to.equal(1);
  });

  it("after it was sent, and before its job was done, does not come again", async () => {
    const service = await start();
    await database.query(
      "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN OLD; END'",
    );
    await database.query(
      "CREATE TRIGGER hold BEFORE DELETE ON graphile_worker._private_jobs FOR EACH ROW EXECUTE FUNCTION hold()",
    );
    await service.auth.signUp(newPerson());
    await waitUntil(async () => (await database.query("SELECT 1 FROM mails WHERE state = 'sent'")).length === 1);
    await killAndStart(service, "DROP FUNCTION hold CASCADE;");
    await waitUntil(isDone);
    expect(idsOf()).to.have.length(1);
  });
});
