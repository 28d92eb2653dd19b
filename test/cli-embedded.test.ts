import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { databaseProcesses, runSource, startSource } from "./support/commands.ts";
import { PASSWORD } from "./support/people.ts";
import { waitUntil } from "./support/wait.ts";

describe("the operator's commands on the embedded database", () => {
  let folder: string;
  let dataDir: string;
  let env: Record<string, string>;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
    chmodSync(folder, 0o711);
    dataDir = join(folder, "data");
    env = { DATA_DIR: dataDir, BCRYPT_COST: "10", HTTP_PORT: "0", GRPC_PORT: "0" };
  });
  after(() => {
    const where = join(dataDir, "where");
    if (existsSync(where)) rmSync(readFileSync(where, "utf8").trim(), { recursive: true });
    rmSync(folder, { recursive: true });
  });

  const hasServer = () => databaseProcesses(dataDir).some((line) => line.includes("postgres -D"));
  const isAlone = () => databaseProcesses(dataDir).length === 0;
  const create = (username: string) => {
    const args = ["users", "create", "--username", username, "--email", `${username}@example.com`];
    return runSource("cli.ts", args, { env, input: PASSWORD });
  };

  async function startService(...command: readonly [file: string, ...args: string[]]) {
    const [file, ...args] = command;
    const { child, written, outcome } = startSource(file, args, { env });
    const readyLine = () => written.stderr.split("\n").find((line) => line.includes('"ready"'));
    await waitUntil(() => readyLine() !== undefined || child.exitCode !== null, 20_000);
    const { grpc } = JSON.parse(readyLine() ?? written.stderr);
    const { signIn } = createClient(AuthService, createGrpcTransport({ baseUrl: `http://${grpc}` }));
    const stop = (signal: NodeJS.Signals) => {
      child.kill(signal);
      return outcome;
    };
    return { signIn: (login: string) => signIn({ login, password: PASSWORD }), stop };
  }

  it("start it on an empty folder, and a service that comes meanwhile joins", async () => {
    const creating = create("ada");
    await waitUntil(hasServer, 20_000);
    const service = await startService("main.ts");
    expect(await creating).to.include({ code: 0, stderr: "" });
    expect((await service.signIn("ada")).user?.username).to.equal("ada");
    await service.stop("SIGKILL");
    await waitUntil(isAlone);
  });

  it("join that of a running service, and leave it running", async () => {
    const service = await startService("cli.ts", "serve");
    expect(await create("grace")).to.include({ code: 0, stderr: "" });
    expect((await service.signIn("grace")).user?.username).to.equal("grace");
    expect(hasServer()).to.equal(true);
    expect(await service.stop("SIGTERM")).to.include({ code: 0, stdout: "" });
    await waitUntil(isAlone);
  });

  it("leave no process when they were alone with it", async () => {
    const { code, stdout } = await runSource("cli.ts", ["users", "list"], { env });
    expect(code).to.equal(0);
    expect(stdout).to.match(/ ada .*\n.* grace /);
    await waitUntil(isAlone);
  });
});
