import { expect } from "chai";
import { expectHarmless, type Traces } from "./support/cases.ts";
import { PASSWORD, signUpConfirmed } from "./support/people.ts";
import { errorOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";

const NO_CALL = { unrecorded: "no call is made" };

describe("what is looked at after each case", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
    await signUpConfirmed(service);
  });
  after(() => service.stop());

  const findings = (attack: () => Promise<readonly unknown[]>, traces: Traces = NO_CALL) =>
    expectHarmless(service, traces, attack).then(
      () => "",
      ({ message }: Error) => message,
    );

  it("finds nothing where nothing happens", async () => {
    const traces = { recorded: { "token_refused INVALID_TOKEN": 1 } };
    expect(await findings(async () => [await errorOf(service.auth.getMe({}))], traces)).to.equal("");
    expect(await findings(async () => [])).to.equal("");
  });

  it("finds a refusal that the audit log does not tell of, or that it need not tell of", async () => {
    const refresh = async () => [await errorOf(service.auth.refreshToken({ refreshToken: "junk" }))];
    for (const recorded of [{ "token_refused INVALID_TOKEN": 2 }, { "token_refused INVALID_ARGUMENT": 1 }, {}])
      expect(await findings(refresh, { recorded }), JSON.stringify(recorded)).to.include("deeply equal");
    expect(await findings(refresh)).to.include(NO_CALL.unrecorded);
  });

  it("finds a row that has changed, but where it may", async () => {
    const change = async () => service.database.query("UPDATE users SET locale = locale || 'x'");
    expect(await findings(change)).to.match(/^users/);
    expect(await findings(change, { ...NO_CALL, changes: ["users"] })).to.equal("");
    expect(await findings(change, { ...NO_CALL, changes: ["sessions"] })).to.match(/^users/);
  });

  it("finds a secret and the inside in an answer", async () => {
    const told = ["    at signUp (/srv/app.ts:1:2)", 'relation "users"', "SELECT 1", "/home/latchkey", "node 24.1.0"];
    for (const answer of [...told, PASSWORD, { headers: new Headers({ "x-powered-by": "sequelize" }) }])
      expect(await findings(async () => [answer]), JSON.stringify(answer)).not.to.equal("");
  });

  it("finds a fault in the log", async () => {
    expect(await findings(async () => [void service.lines.push('{"level":"error"}')])).not.to.equal("");
  });
});
