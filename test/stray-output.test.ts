import { expect } from "chai";
import { start } from "./support/commands.ts";
import { newPerson, refusalOf } from "./support/people.ts";
import { startDatabaseServer } from "./support/postgres.ts";
import { startProcess } from "./support/process.ts";
import { SECRET_KEY } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";

const source = (file: string) => JSON.stringify(new URL(`../src/${file}`, import.meta.url).href);

/** Programs that say something past the log, each with what the log has of it. */
const PROGRAMS = {
  'console.trace("gone", Object.assign(new Error("lost"), { parameters: ["canary"] }), { password: "canary" });': {
    level: "warn",
    said: ["gone", "lost", "object"],
  },
  'console.dir({ password: "canary" });': { level: "warn", said: ["object"] },
  'console.table([{ password: "canary" }]);': { level: "warn", said: ["object"] },
  'process.emitWarning("old ways");': { level: "warn", error: "old ways" },
  'throw Object.assign(new Error("broken"), { parameters: ["canary"] });': { level: "error", error: "broken" },
  'throw Object.assign(new Error("odd"), { code: { password: "canary" } });': { level: "error", error: "odd" },
  'throw Object.defineProperty(new Error("trap"), "code", { get() { throw new Error("canary"); } });': {
    level: "error",
    error: "an error that cannot be read",
  },
  'Promise.reject(Object.assign(new Error("unheard"), { sql: "canary" }));': { level: "error", error: "unheard" },
};

describe("what a process says past its log", () => {
  for (const [program, expected] of Object.entries(PROGRAMS)) {
    it(`is one line of it, and no more of an error than there ever is: ${program}`, async () => {
      const script = `
        import { createLog } from ${source("log.ts")};
        import { catchStrayOutput } from ${source("stray-output.ts")};
        catchStrayOutput(createLog("info"));
        ${program}`;
      const { code, stdout, stderr } = await start(process.execPath, ["--input-type=module", "-e", script]).outcome;
      expect([code, stdout]).to.deep.equal([expected.level === "error" ? 1 : 0, ""]);
      expect(stderr).not.to.include("canary");
      const { level, said, error } = JSON.parse(stderr);
      const text = (value: unknown) => (typeof value === "string" ? value : (value as Error).message);
      expect({ level, ...(said && { said: said.map(text) }), ...(error && { error: text(error) }) }).to.deep.equal(
        expected,
      );
    });
  }

  it("is in lines of JSON, without a secret, while it loses its database under load", async () => {
    const database = await startDatabaseServer();
    const service = await startProcess(database);
    let [stopped, asked] = [false, 0];
    const load = Array.from({ length: 16 }, async () => {
      while (!stopped) {
        const refusal = await refusalOf(service.auth.requestPasswordReset({ email: newPerson().email }));
        if (refusal === "") asked += 1;
      }
    });
    const workOn = async () => {
      const before = asked;
      await waitUntil(() => asked > before + 100, 30_000);
    };
    for (let round = 0; round < 3; round++) {
      await workOn();
      await database.crash();
    }
    await workOn();
    stopped = true;
    await Promise.all(load);
    await service.stop("SIGTERM");
    await database.drop();
    for (const line of service.lines) {
      expect(JSON.parse(line), line).to.include.all.keys("level", "time", "msg");
      expect(line).not.to.include(SECRET_KEY).and.not.to.include("@example");
    }
  });
});
