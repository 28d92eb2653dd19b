import { expect } from "chai";
import { expectHarmless } from "./support/cases.ts";
import { PASSWORD, signUpConfirmed } from "./support/people.ts";
import { errorOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";

describe("what is looked at after each case", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
    await signUpConfirmed(service);
  });
  after(() => service.stop());

  const findings = (attack: () => Promise<readonly unknown[]>, changes: readonly string[] = []) =>
    expectHarmless(service, attack, changes).then(
      () => "",
      ({ message }: Error) => message,
    );

  it("finds nothing where nothing happens", async () => {
    expect(await findings(async () => [await errorOf(service.auth.getMe({}))])).to.equal("");
  });

  it("finds a row that has changed, but where it may", async () => {
    const change = async () => service.database.query("UPDATE users SET locale = locale || 'x'");
    expect(await findings(change)).to.match(/^users/);
    expect(await findings(change, ["users"])).to.equal("");
    expect(await findings(change, ["sessions"])).to.match(/^users/);
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
