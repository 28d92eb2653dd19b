import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import pg from "pg";
import { newPerson } from "./support/people.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { startSmtp, type TestSmtp } from "./support/smtp.ts";
import { waitUntil } from "./support/wait.ts";

const SIGN_UPS = 200;
// Beside other tests, threads of low priority hash few of them before their deadline.
const ENOUGH = 10;

describe("a service killed in the middle of sign-ups", function () {
  this.timeout(60_000);
  let folder: string;
  let smtp: TestSmtp;
  let service: ServiceProcess;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "latchkey-durability-"));
    chmodSync(folder, 0o711);
    smtp = await startSmtp();
  });
  after(async () => {
    await service.stop("SIGTERM");
    await smtp.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = () =>
    startProcess(null, { DATA_DIR: folder, SMTP_URL: smtp.url, MAIL_FROM: "no-reply@example.com", LOG_LEVEL: "info" });
  const databasePid = () => Number(readFileSync(join(folder, "postgres/data/postmaster.pid"), "utf8").split("\n")[0]);

  it("with its database, has every acknowledged account after the restart, and mails each one", async () => {
    service = await start();
    const people = Array.from({ length: SIGN_UPS }, newPerson);
    const acknowledged: string[] = [];
    const signUp = async (person: (typeof people)[number]) => {
      await service.auth.signUp(person);
      acknowledged.push(person.email);
    };
    const all = Promise.allSettled(people.map(signUp));
    await waitUntil(() => acknowledged.length >= ENOUGH, 30_000);
    process.kill(databasePid(), "SIGKILL");
    await service.stop("SIGKILL");
    await all;
    expect(acknowledged.length).to.be.within(ENOUGH, SIGN_UPS - 1);

    service = await start();
    const client = new pg.Client({ host: join(folder, "postgres/run"), user: "latchkey", database: "latchkey" });
    await client.connect();
    const { rows } = await client.query<{ email: string }>("SELECT email FROM users");
    await client.end();
    expect(rows.map(({ email }) => email)).to.include.members(acknowledged);
    const mailed = () => new Set(smtp.received.flatMap(({ recipients }) => recipients));
    await waitUntil(() => acknowledged.every((email) => mailed().has(email)), 30_000);
  });

  it("leaves no process of the database, whichever way it ends", async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const pid = databasePid();
      expect(isAlive(pid)).to.equal(true);
      expect(await service.stop(signal)).to.equal(signal === "SIGTERM" ? 0 : null);
      await waitUntil(() => !isAlive(pid));
      expect(postgresOf(folder)).to.equal("");
      service = await start();
    }
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function postgresOf(folder: string): string {
  const lines = execFileSync("ps", ["-eo", "args="], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(folder) && line.includes("postgres")).join("\n");
}
