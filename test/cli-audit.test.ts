import { fromJsonString } from "@bufbuild/protobuf";
import { expect } from "chai";
import { AuditEventSchema, AuditEventType } from "../gen/auth/v1/audit_event_pb.ts";
import { runSource, startSource } from "./support/commands.ts";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import type { Outcome } from "./support/programs.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";

const WRONG = "quite another password";
const TIME = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";

describe("latchkey audit tail", () => {
  let service: TestService;
  let person: Awaited<ReturnType<typeof signUpConfirmed>>;
  before(async () => {
    service = await startService();
    person = await signUpConfirmed(service);
  });
  after(() => service.stop());

  const env = () => ({ DATABASE_URL: service.database.url, SECRET_KEY, BCRYPT_COST: "10" });
  const startTail = (...args: string[]) => startSource("cli.ts", ["audit", "tail", ...args], { env: env() });
  const tail = (...args: string[]): Promise<Outcome> =>
    runSource("cli.ts", ["audit", "tail", "--no-follow", ...args], { env: env() });
  const fail = (deviceName = "") =>
    refusalOf(service.auth.signIn({ login: person.username, password: WRONG, deviceName }));
  const written = () => waitUntil(() => service.app.auditCounts().waiting === 0);

  it("prints what there is, oldest first, a line each", async () => {
    await fail("a phone");
    await written();
    const { code, stdout, stderr } = await tail("--user", person.username);
    expect([code, stderr]).to.deep.equal([0, ""]);
    const about = `user=${person.id}  actor=anyone  address=127\\.0\\.0\\.1`;
    const lines = [
      `sign_up +  ${about}`,
      `email_confirmed +  ${about}`,
      `sign_in_failed +  reason=INVALID_CREDENTIALS  ${about}  device="a phone"`,
    ];
    expect(stdout).to.match(new RegExp(`^${lines.map((line) => `${TIME}  ${line}\\n`).join("")}$`));
  });

  it("prints JSON as the RPC gives it, narrowed down to a type, a time and a number of lines", async () => {
    await fail();
    await fail();
    await written();
    const begun = new Date(Date.now() - 60_000).toISOString();
    const type = "sign_in_failed";
    const { stdout } = await tail("--json", "--type", type, "--since", begun, "--lines", "2", "--user", person.email);
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => fromJsonString(AuditEventSchema, line));
    expect(events).to.have.length(2);
    for (const event of events)
      expect(event).to.deep.include({ userId: person.id, type: AuditEventType.SIGN_IN_FAILED });
    expect(Number((events[1]?.id ?? 0n) - (events[0]?.id ?? 0n))).to.be.above(0);
    expect((await tail("--since", "2130-01-31T12:00:00Z")).stdout).to.equal("");
    expect((await tail("--lines", "0")).stdout).to.equal("");
  });

  it("goes on to print what is recorded, by whatever process, until a signal comes", async () => {
    const { child, written: seen, outcome } = startTail("--lines", "0", "--user", person.username);
    await waitUntil(async () => {
      await fail();
      return seen.stdout.includes("sign_in_failed");
    }, 30_000);
    await signIn(service, person);
    await waitUntil(() => / {2}sign_in +user=/.test(seen.stdout));
    child.kill("SIGINT");
    const { code, stderr } = await outcome;
    expect([code, stderr]).to.deep.equal([0, ""]);
  });

  it("ends when nobody reads it any more", async () => {
    const { child, written: seen, outcome } = startTail("--user", person.username);
    await waitUntil(() => seen.stdout !== "", 30_000);
    child.stdout.destroy();
    const failing = setInterval(() => void fail(), 100);
    const { code } = await outcome;
    clearInterval(failing);
    expect(code).to.equal(0);
  });

  it("shows what callers have chosen so that it cannot act on a terminal or look like another line", async () => {
    const deviceName = '\u001b[2J\u009b1m\n\u202e\u2028"x" actor=cli';
    await fail(deviceName);
    await written();
    const { stdout } = await tail("--lines", "1", "--type", "sign_in_failed");
    expect(stdout).to.include('device="\\u001b[2J\\u{9b}1m\\n\\u{202e}\\u{2028}\\"x\\" actor=cli"');
    expect(stdout.match(/\n/g)).to.have.length(1);
  });

  it("tells of accounts that are gone by their ids, and knows of no others", async () => {
    const gone = await signUpConfirmed(service);
    await service.database.query("DELETE FROM users WHERE id = $1", gone.id);
    expect((await tail("--user", String(gone.id))).stdout.match(/\n/g)).to.have.length(2);
    const unknown = await tail("--user", gone.username);
    expect(unknown).to.deep.equal({ code: 1, stdout: "", stderr: "USER_NOT_FOUND: User not found\n" });
    const wrong = await tail("--type", "nothing");
    expect([wrong.code, wrong.stdout]).to.deep.equal([2, ""]);
    expect(wrong.stderr).to.include("sign_in_failed");
  });
});
