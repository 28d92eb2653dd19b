import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect } from "chai";
import { findProgram, run, skipWithout } from "./support/programs.ts";

const ROOT = resolve(import.meta.dirname, "..");
const SUITE = join(ROOT, "test/conformance");

/** Each protocol, its files in the suite's folder, and how many cases there are for it, of which none may get lost. */
const PROTOCOLS = [
  { name: "gRPC", file: "grpc", atLeast: 470 },
  { name: "gRPC-Web", file: "grpc-web", atLeast: 664 },
  { name: "Connect", file: "connect", atLeast: 864 },
] as const;

const LONGEST_RUN_MS = 150_000;

describe("the conformance suite of Connect", function () {
  this.timeout(LONGEST_RUN_MS + 10_000);
  const runner = findProgram("connectconformance") ?? "";
  before(function () {
    if (!runner || !existsSync(join(SUITE, "gen"))) skipWithout(this, "connectconformance");
  });

  it("is answered by a program whose types hold", async () => {
    const { code, stdout } = await run(join(ROOT, "node_modules/.bin/tsc"), ["-p", SUITE]);
    expect(code, stdout).to.equal(0);
  });

  for (const { name, file, atLeast } of PROTOCOLS) {
    it(`fails in no case over ${name} but those that are known to fail`, async () => {
      const { code, stdout, stderr } = await run(runner, argumentsFor(file), LONGEST_RUN_MS);
      const [, total, passed] = /^Total cases: (\d+)\n(\d+) passed/m.exec(stdout) ?? [];
      process.stdout.write(`    conformance over ${name}: ${passed} of ${total}\n`);
      // The log is mostly of the errors that cases ask for.
      expect(code, `${stdout}\n${stderr.slice(-2000)}`).to.equal(0);
      expect(Number(total)).to.be.at.least(atLeast);
    });
  }
});

function argumentsFor(file: string): string[] {
  const known = join(SUITE, `${file}-known-failing.txt`);
  return [
    ...["--mode", "server", "--conf", join(SUITE, `${file}.yaml`), "--parallel", "4", "--max-servers", "2"],
    ...(existsSync(known) ? ["--known-failing", `@${known}`] : []),
    ...["--", process.execPath, join(SUITE, "server.ts")],
  ];
}
