import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect } from "chai";
import { parseConfig, SETTING_DEFAULTS } from "../src/config.ts";
import { readCopy, readDockerfile } from "./support/dockerfile.ts";
import { findProgram, run, skipWithout } from "./support/programs.ts";

const ROOT = resolve(import.meta.dirname, "..");
const DOCKERFILE = join(ROOT, "Dockerfile");
const { GRPC_PORT, HTTP_PORT } = SETTING_DEFAULTS;

describe("the Dockerfile", () => {
  const stages = readDockerfile(DOCKERFILE);
  const textsOf = (keyword: string) =>
    stages.flatMap(({ instructions }) => instructions.filter((one) => one.keyword === keyword)).map(({ text }) => text);

  it("passes hadolint", async function () {
    const hadolint = findProgram("hadolint");
    if (!hadolint) return skipWithout(this, "hadolint");
    const { code, stdout } = await run(hadolint, ["--no-color", DOCKERFILE]);
    expect(stdout).to.equal("");
    expect(code).to.equal(0);
  });

  it("takes its steps from npm, so that they can be run without an engine", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(textsOf("RUN")).not.to.have.length(0);
    for (const step of textsOf("RUN")) {
      const [, script] = /^npm (?:ci --ignore-scripts|run ([a-z:]+))$/.exec(step) ?? ["", "no npm command"];
      if (script) expect(scripts).to.have.property(script);
    }
  });

  it("stands on the minor version of Node that runs the tests", () => {
    const [major, minor] = process.versions.node.split(".");
    const names = stages.map(({ name }) => name);
    const foreign = stages.map(({ base }) => base).filter((base) => !names.includes(base));
    expect(foreign).to.deep.equal([`node:${major}.${minor}-trixie-slim`]);
  });

  it("sends an engine nothing but what it copies", () => {
    const copied = textsOf("COPY")
      .map(readCopy)
      .filter(({ from }) => from === null);
    const lines = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
    const [all, ...exceptions] = lines.filter((line) => line !== "" && !line.startsWith("#"));
    expect(all).to.equal("*");
    expect(exceptions).to.have.members(copied.flatMap(({ sources }) => sources).map((source) => `!${source}`));
  });

  it("runs in production, as a user whose number is not root's, on the ports that are default", () => {
    const settings = textsOf("ENV").flatMap((text) => text.split(" "));
    expect(settings).to.have.members(["NODE_ENV=production", "HOST=0.0.0.0"]);
    expect(textsOf("USER").at(-1)).to.match(/^[1-9]\d*:[1-9]\d*$/);
    expect(textsOf("EXPOSE")).to.deep.equal([`${GRPC_PORT} ${HTTP_PORT}`]);
  });
});

describe("compose.yaml", () => {
  let services: Record<string, ComposeService>;
  before(async function () {
    const composeSpec = findProgram("compose-spec");
    if (!composeSpec) return skipWithout(this, "compose-spec");
    const { code, stdout, stderr } = await run(composeSpec, ["-format", "json", join(ROOT, "compose.yaml")]);
    expect([code, stderr], stderr).to.deep.equal([0, ""]);
    ({ services } = JSON.parse(stdout));
  });

  const latchkey = () => services.latchkey ?? {};

  it("gives settings that exist and that the service takes, without a secret among them", () => {
    const { environment = {} } = latchkey();
    const names = Object.keys(environment).filter((name) => name !== "NODE_ENV");
    expect(Object.keys(SETTING_DEFAULTS)).to.include.members(names);
    expect(names).not.to.include("SECRET_KEY");
    const { databaseUrl, smtpUrl } = parseConfig({ HOST: "0.0.0.0", ...environment });
    const urls = [databaseUrl, smtpUrl].map((secret) => new URL(secret?.reveal() ?? ""));
    expect(urls.map(({ password }) => password)).to.deep.equal(["", ""]);
    expect(Object.keys(services)).to.include.members(urls.map(({ hostname }) => hostname));
  });

  it("waits for the database that it names, and starts the mail catcher too", () => {
    expect(services.postgres?.healthcheck?.test).to.include("pg_isready");
    expect(latchkey().depends_on).to.have.all.keys("postgres", "mailpit");
    expect(latchkey().depends_on?.postgres?.condition).to.equal("service_healthy");
  });

  it("is reached from this machine only, on the ports that the README names", () => {
    const ports = Object.values(services).flatMap(({ ports = [] }) => ports);
    expect(ports.map(({ host_ip }) => host_ip)).to.deep.equal(ports.map(() => "127.0.0.1"));
    expect(ports.map(({ published }) => published)).to.have.members([GRPC_PORT, HTTP_PORT, "8025"]);
    expect(ports.every(({ published, target }) => published === String(target))).to.equal(true);
  });

  it("keeps the database and the key to it in volumes", () => {
    const volumes = Object.values(services).flatMap(({ volumes = [] }) => volumes);
    expect(volumes.map(({ source, target }) => `${source}:${target}`)).to.have.members([
      // Where PostgreSQL's images have their data since version 18.
      "database:/var/lib/postgresql",
      "secret:/home/node",
    ]);
    expect(latchkey().environment?.DATA_DIR).to.match(/^\/home\/node\//);
  });
});

/** What the tests read of a service; the tool writes every short form out. */
interface ComposeService {
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: ReadonlyArray<{ readonly host_ip?: string; readonly published: string; readonly target: number }>;
  readonly volumes?: ReadonlyArray<{ readonly source: string; readonly target: string }>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}
