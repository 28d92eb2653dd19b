import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { expect } from "chai";
import { PASSWORD, signIn, signUpConfirmed } from "./support/people.ts";
import { findProgram, findPython, type Outcome, run, skipSince, skipWithout } from "./support/programs.ts";
import { type Block, copyProject, fileNameOf, follow, PROJECT, readBlocks } from "./support/readme.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";

const WALKS = ["First ten minutes", "The same with curl", "For other services"];
const VERIFIER = "In a Node service";
const PROGRAMS = "From your program";
type Environment = Readonly<Record<string, string>>;

/** What the commands under each language's heading find around them; skips where they could not be followed. */
const LANGUAGES: Readonly<Record<string, (context: Mocha.Context, folder: string) => Promise<Environment>>> = {
  Node: aroundNode,
  Python: aroundPython,
  Go: aroundGo,
};

/** Blocks that no test here runs, and why. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "npm ci && npm start\n": "the check installs, and the tests of processes start the service",
  "npm ci && npm test\n": "that is what runs this",
  "docker compose up --build\n": "the container's test carries out the Dockerfile; an engine is not everywhere",
};

/** What the reader has in hand when the walks are over. */
const AFTERWARDS: Block = {
  heading: "",
  language: "sh",
  text: `call AuthService/GetMe '{}' -H "authorization: Bearer $ACCESS"\n`,
};

const blocks = readBlocks();
const under = (heading: string) => blocks.filter((block) => block.heading === heading);

describe("the README", () => {
  it("has no block that is not followed by a test, or named here with a reason", () => {
    const headings = [...WALKS, PROGRAMS, ...Object.keys(LANGUAGES), VERIFIER];
    const left = blocks.filter(({ heading, text }) => !headings.includes(heading) && !Object.hasOwn(ELSEWHERE, text));
    expect(left).to.deep.equal([]);
    for (const heading of headings) expect(under(heading), heading).not.to.have.length(0);
  });

  it("names the file of every program", () => {
    const programs = [...Object.keys(LANGUAGES), VERIFIER].flatMap(under).filter(({ language }) => language !== "sh");
    expect(programs.filter((block) => fileNameOf(block) === null)).to.deep.equal([]);
  });
});

for (const program of ["grpcurl", "buf curl"]) {
  describe(`the README's first ten minutes by ${program}`, () => {
    let service: TestService;
    let steps: Outcome[];
    before(async function () {
      this.timeout(180_000);
      if (program === "grpcurl" && !findProgram(program)) skipWithout(this, program);
      if (!findProgram("curl")) skipWithout(this, "curl");
      service = await startService();
      const isFor = (text: string) => program === "buf curl" || !text.includes("npx buf curl");
      const walk = WALKS.flatMap(under).filter(({ text }) => isFor(text));
      const tool = dirname(findProgram("grpcurl") ?? "");
      const PATH = [process.env.PATH, tool].join(delimiter);
      const env = { PATH, DATABASE_URL: service.database.url, SECRET_KEY, BCRYPT_COST: "10" };
      steps = (await follow(service, [...walk, AFTERWARDS], { cwd: PROJECT, env })).slice(-8);
    });
    after(() => service?.stop());

    const answersOf = (step: number) => {
      const { code, stdout, stderr } = steps[step] ?? { code: -1, stdout: "", stderr: "" };
      return { code, stderr, answers: parseAnswers(stdout) };
    };

    it("signs up, confirms by the code and signs in", () => {
      const { code, stderr, answers } = answersOf(0);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      const [signedUp, confirmed, signedIn] = answers;
      expect(signedUp).to.deep.include({ confirmationRequired: true });
      expect(confirmed.user).to.include({ username: "ada", emailConfirmed: true });
      expect(signedIn.tokens).to.include({ tokenType: "bearer", expiresIn: 86_400 });
      expect(answers).to.have.length(3);
    });

    it("asks who it is, refreshes, signs out, and is refused with the token that it had", () => {
      const { code, stderr, answers } = answersOf(1);
      const [me, refreshed, signedOut] = answers;
      expect(me.user).to.include({ username: "ada", email: "ada@example.com", isActive: true });
      expect(me.session).to.include({ address: "127.0.0.1", current: true });
      expect(refreshed.tokens).to.include({ tokenType: "bearer", expiresIn: 86_400 });
      expect(signedOut).to.deep.equal({ signedOut: true });
      expect(answers).to.have.length(3);
      expect(code).not.to.equal(0);
      expect(stderr).to.contain("Invalid or expired token");
    });

    it("makes an admin and blocks in the terminal, and unblocks as that admin", () => {
      const { code, stdout, stderr } = steps[2] ?? {};
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      const [made, blocked, ...answer] = stdout?.split("\n") ?? [];
      expect(made).to.match(/^created \d+ root <root@example\.com>, roles: admin$/);
      expect(blocked).to.match(/^blocked \d+ ada/);
      expect(JSON.parse(answer.join("")).user).to.include({ username: "ada", isActive: true });
    });

    it("does the whole round by plain HTTP", () => {
      const { code, stderr, answers } = answersOf(3);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      const [signedUp, confirmed, signedIn, me, refreshed, signedOut, blocked] = answers;
      expect(signedUp).to.include({ username: "grace", email_confirmed: false });
      expect(confirmed).to.deep.equal({ message: "Email confirmed" });
      expect(me).to.deep.equal(signedIn.user);
      expect(refreshed.refresh_token).not.to.equal(signedIn.refresh_token);
      expect(signedOut).to.deep.equal({ message: "Logout successful" });
      expect(blocked).to.include({ message: "User blocked", username: "grace", is_active: false });
      expect(answers).to.have.length(7);
    });

    it("signs in by Connect", () => {
      const { code, stderr, answers } = answersOf(4);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      expect(answers[0].user).to.include({ username: "ada" });
    });

    it("makes a service key, and introspects with it", () => {
      const { code, stderr, answers } = answersOf(5);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      expect(answers).to.have.length(1);
      expect(answers[0]).to.include({ active: true });
      expect(answers[0].claims).to.include({ username: "ada", audience: "latchkey" });
    });

    it("introspects, finds the public keys and revokes by plain HTTP", () => {
      const { code, stderr, answers } = answersOf(6);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      const [introspected, { keys }, revoked, ended, ...more] = answers;
      expect(introspected).to.include({ active: true, username: "ada", aud: "latchkey" });
      expect(keys).to.have.length(1);
      expect([revoked, ended, more]).to.deep.equal([{}, { active: false }, []]);
    });

    it("leaves an access token that is good, for the verifier to check", () => {
      const { code, stderr, answers } = answersOf(7);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      expect(answers[0].user).to.include({ username: "ada" });
    });
  });
}

describe("the README's programs", () => {
  const [setUp, printed] = under(PROGRAMS);
  let service: TestService;
  let folder: string;
  before(async () => {
    service = await startService();
    await signUpConfirmed(service, { username: "ada", email: "ada@example.com", password: PASSWORD });
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "latchkey-readme-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  after(() => service.stop());

  for (const [language, around] of Object.entries(LANGUAGES)) {
    it(`run in ${language}`, async function () {
      this.timeout(300_000);
      if (!setUp || !printed) throw new Error("the README does not say where the programs go, or what they print");
      const env = { TMPDIR: folder, ...(await around(this, folder)) };
      const steps = under(language);
      const outcomes = await follow(service, [setUp, ...steps], { cwd: copyProject(join(folder, "latchkey")), env });
      expect(outcomes.filter(({ code }) => code !== 0)).to.deep.equal([]);
      // What is for the shell ends with a program's run.
      const runs = outcomes.slice(1).filter((_, index) => steps[index]?.language === "sh");
      for (const { stdout, stderr } of runs) expect(stdout.slice(-printed.text.length), stderr).to.equal(printed.text);
    });
  }
});

describe("the README's verifier", () => {
  let service: TestService;
  let folder: string;
  before(async () => {
    service = await startService();
    folder = mkdtempSync(join(tmpdir(), "latchkey-readme-"));
  });
  after(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  it("knows in another service who calls", async function () {
    this.timeout(300_000);
    if (!findProgram("curl")) skipWithout(this, "curl");
    const [setUp] = under(PROGRAMS);
    if (!setUp) throw new Error("the README does not say where the programs go");
    const { key } = await issueKey(service, ["introspect", "watch"]);
    const { accessToken, user } = await signIn(service, await signUpConfirmed(service));
    const around = { ...(await aroundNode(this)), TMPDIR: folder, KEY: key, ACCESS: accessToken };
    const cwd = copyProject(join(folder, "latchkey"));
    const port = await freePort();
    const outcomes = await follow(service, [setUp, ...under(VERIFIER)], { cwd, env: around, ports: { 3000: port } });
    expect(outcomes.filter(({ code }) => code !== 0)).to.deep.equal([]);
    expect(outcomes.at(-1)?.stdout, outcomes.at(-1)?.stderr).to.match(new RegExp(`^hello ${user.username}$`, "m"));
  });
});

/** A port that nobody listens at. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return String(port);
}

async function aroundNode(context: Mocha.Context): Promise<Environment> {
  const { code } = await run("npm", ["view", "@connectrpc/connect", "version"]);
  return code === 0 ? {} : skipSince(context, "npm's registry cannot be reached");
}

async function aroundPython(context: Mocha.Context): Promise<Environment> {
  const python = await findPython("aiohttp", "grpc_status", "grpc_tools");
  if (!python) return skipWithout(context, "Python with aiohttp, grpcio-status and grpcio-tools");
  const { stdout } = await run(python, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
  // pip finds there what it would otherwise download.
  return { PYTHONPATH: stdout.trim() };
}

async function aroundGo(context: Mocha.Context, folder: string): Promise<Environment> {
  const go = findProgram("go");
  if (!go) return skipWithout(context, "Go");
  const { code } = await run(go, ["list", "-m", "google.golang.org/grpc@latest"]);
  if (code !== 0) return skipSince(context, "Go's module proxy cannot be reached");
  const { stdout } = await run(go, ["env", "GOMODCACHE"]);
  const GOPATH = join(folder, "go");
  return { GOPATH, GOBIN: join(GOPATH, "bin"), GOMODCACHE: stdout.trim() };
}

/** The JSON objects that stand one after the other in what was written. */
function parseAnswers(text: string) {
  return text.split(/\n(?=\{)/).map((json) => JSON.parse(json));
}
