import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { expect } from "chai";
import { requireNode } from "../src/node-version.ts";
import { VERSION } from "../src/version.ts";
import { runSource, type Surroundings, start } from "./support/commands.ts";
import { PASSWORD } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { findProgram, skipWithout } from "./support/programs.ts";
import { SECRET_KEY } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";

const ROOT = resolve(import.meta.dirname, "..");
const CLI = join(ROOT, "src/cli.ts");
const COMMANDS = [
  ...[
    "serve",
    "migrate",
    "doctor",
    "health",
    "clean-up",
    "users create",
    "users list",
    "users show",
    "users block",
    "users unblock",
    "users set-role",
  ],
  ...["users delete", "keys list", "keys rotate", "keys retire"],
  ...["service-keys create", "service-keys list", "service-keys revoke", "audit tail"],
];
const ADA = ["--username", "ada", "--email", "ada@example.com"];

describe("the operator's command line", () => {
  let database: TestDatabase;
  let env: Record<string, string>;
  before(async () => {
    database = await createTestDatabase({ migrated: false });
    env = { DATABASE_URL: database.url, SECRET_KEY, BCRYPT_COST: "10" };
  });
  after(() => database.drop());

  const latchkey = (args: readonly string[], surroundings: Surroundings = { env }) =>
    runSource("cli.ts", args, surroundings);

  it("migrates an empty database, once though two do it at once, and says what it did", async () => {
    const outcomes = await Promise.all([latchkey(["migrate"]), latchkey(["migrate"])]);
    expect(outcomes.map(({ code, stderr }) => [code, stderr])).to.deep.equal([
      [0, ""],
      [0, ""],
    ]);
    const rows = await database.query<{ name: string }>("SELECT name FROM schema_migrations ORDER BY name");
    const migrated = `migrated: ${rows.map(({ name }) => name).join(", ")}\n`;
    expect(outcomes.map(({ stdout }) => stdout)).to.have.members([migrated, "up to date\n"]);
  });

  it("tells how each command is used, with an example", async () => {
    const help = await Promise.all(COMMANDS.map((command) => latchkey([...command.split(" "), "--help"], {})));
    for (const [index, { code, stdout, stderr }] of help.entries()) {
      expect([code, stderr]).to.deep.equal([0, ""]);
      expect(stdout).to.match(
        new RegExp(`^Usage: latchkey ${COMMANDS[index]} [^]*\n\nExample:\n {2}latchkey ${COMMANDS[index]}`),
      );
    }
    for (const group of ["users", "keys", "service-keys"]) {
      const { stdout } = await latchkey([group, "--help"], {});
      for (const [name, leaf] of COMMANDS.map((command) => command.split(" ")))
        if (name === group) expect(stdout).to.include(`\n  ${leaf} `);
    }
  });

  it("answers wrong usage with 2, before it looks at settings or database", async () => {
    const wrong = [
      ...[[], ["nosuch"], ["users"], ["users", "nosuch"], ["users", "show"], ["users", "show", "a", "b"]],
      ...[
        ["migrate", "now"],
        ["users", "create"],
        ["users", "create", ...ADA, "--password", PASSWORD],
      ],
      ...[
        ["users", "delete"],
        ["users", "delete", "ada", "bob", "--yes"],
      ],
      ...[[], ["nosuch"], ["retire"], ["retire", "a", "b"], ["rotate", "a"]].map((args) => ["keys", ...args]),
      ...[[], ["create"], ["create", "--name", "a"], ["create", "--scope", "watch"], ["revoke"]].map((args) => [
        ...["service-keys", ...args],
      ]),
      ...[
        ["service-keys", "create", "--name", "a", "--scope", "root"],
        ["service-keys", "create", "--name", "a", "--scope", "watch", "--expires", "soon"],
      ],
      ...[
        ["users", "create", ...ADA, PASSWORD],
        ["users", "list", "--page-size", "many"],
      ],
      ...["tomorrow", "2130-01-31", "2130-02-30T00:00:00Z", "2130-01-31T25:00:00Z", "2130-01-31T12:00:00"].map(
        (time) => [...["users", "block", "ada", "--until", time]],
      ),
    ];
    const outcomes = await Promise.all(wrong.map((args) => latchkey(args, { env: { DATABASE_URL: "nonsense" } })));
    for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
      expect([code, stdout], wrong[index]?.join(" ")).to.deep.equal([2, ""]);
      expect(stderr).to.match(/^(error: .+\n\(--help tells more\)|Usage: latchkey )/);
      expect(stderr).to.not.include(PASSWORD);
    }
  });

  it("names every faulty setting at once, whichever the command, before it asks for a password", async () => {
    const wrong = { DATABASE_URL: "canary", SECRET_KEY: "canary", HTTP_PORT: "", LOG_LEVEL: "loud" };
    for (const command of [["serve"], ["migrate"], ["users", "create", ...ADA], ["users", "list"], ["keys", "list"]]) {
      const { code, stdout, stderr } = await latchkey(command, { env: wrong, input: PASSWORD });
      expect([code, stdout]).to.deep.equal([1, ""]);
      const names = [...stderr.matchAll(/^ {2}([A-Z_]+) /gm)].map(([, name]) => name);
      expect(names).to.have.members(Object.keys(wrong));
      expect(stderr).to.not.include("canary");
    }
  });

  it("says in one line that the database is away", async () => {
    const away = { ...env, DATABASE_URL: "postgres://latchkey:canary@127.0.0.1:1/latchkey" };
    const { code, stdout, stderr } = await latchkey(["users", "list"], { env: away });
    const line = "DATABASE_URL: the database cannot be reached: connect ECONNREFUSED 127.0.0.1:1\n";
    expect([code, stdout, stderr]).to.deep.equal([1, "", line]);
    const verbose = await latchkey(["users", "list"], { env: { ...away, DEBUG: "true" } });
    expect(verbose.stderr).to.include("ECONNREFUSED").and.include("\n    at ").and.not.include("canary");
  });

  it("refuses another SECRET_KEY than the database's, and says what to do", async () => {
    await latchkey(["migrate"]);
    const { code, stderr } = await latchkey(["users", "list"], { env: { ...env, SECRET_KEY: `${SECRET_KEY} or not` } });
    expect(code).to.equal(1);
    expect(stderr).to.match(/^SECRET_KEY does not open the keys in this database.*Start with that key.*\n$/);
  });

  it("asks twice for a password on a terminal, and does not show it", async function () {
    if (process.platform !== "linux" || !findProgram("script")) return skipWithout(this, "script");
    const created = await typePasswords(PASSWORD, PASSWORD);
    expect(created).to.deep.equal({
      code: 0,
      shown: ["Password: ", "Again: ", "created 1 ada <ada@example.com>, roles: none", ""],
    });
    const differing = await typePasswords(PASSWORD, `${PASSWORD}!`);
    expect(differing).to.deep.equal({ code: 1, shown: ["Password: ", "Again: ", "the two passwords differ", ""] });
    const interrupted = await typePasswords("half a pass\x03", "");
    expect(interrupted).to.deep.equal({ code: 1, shown: ["Password: ", "no password was given", ""] });
  });

  async function typePasswords(...passwords: string[]) {
    const command = `"${process.execPath}" "${CLI}" users create ${ADA.join(" ")}`;
    const { child, written, outcome } = start("script", ["-qec", command, "/dev/null"], { env, input: null });
    for (const [index, prompt] of ["Password: ", "Again: "].entries()) {
      await waitUntil(() => written.stdout.includes(prompt) || child.exitCode !== null);
      child.stdin.write(`${passwords[index]}\n`);
    }
    const { code, stdout } = await outcome;
    return { code, shown: stdout.split("\r\n") };
  }

  it("deletes an account only when a terminal's answer is yes", async function () {
    if (process.platform !== "linux" || !findProgram("script")) return skipWithout(this, "script");
    const names = ["--username", "bob", "--email", "bob@example.com"];
    const { stdout } = await latchkey(["users", "create", ...names], { env, input: PASSWORD });
    const bob = stdout.replace(/^created (.*), roles: none\n$/, "$1");
    const question = `Delete ${bob} for good? (y/N) `;
    for (const answer of ["\n", "bob\n", "\x03"]) {
      const { code, stdout } = await answerDeletion(answer);
      expect([code, stdout.includes(question)], answer).to.deep.equal([1, true]);
      expect(stdout, answer).to.match(/\nnothing was deleted\r\n$/);
    }
    expect((await latchkey(["users", "show", "bob"])).code).to.equal(0);
    const { code, stdout: shown } = await answerDeletion("Yes\n");
    expect(code).to.equal(0);
    expect(shown).to.match(/\r\ndeleted \d+ bob <bob@example\.com>\r\n$/);
    expect((await latchkey(["users", "show", "bob"])).stderr).to.equal("USER_NOT_FOUND: User not found\n");
  });

  async function answerDeletion(answer: string) {
    const command = `"${process.execPath}" "${CLI}" users delete bob`;
    const { child, written, outcome } = start("script", ["-qec", command, "/dev/null"], { env, input: null });
    await waitUntil(() => written.stdout.includes("(y/N) ") || child.exitCode !== null);
    child.stdin.write(answer);
    return outcome;
  }

  it("says nothing when nobody reads its answer to the end", async () => {
    const command = `{ "${process.execPath}" "${CLI}" users list; echo "code $?" >&2; } | true`;
    const { stderr } = await start("sh", ["-c", command], { env }).outcome;
    expect(stderr).to.equal("code 0\n");
  });

  it("is `npm run latchkey` in a checkout, whatever Node the machine has", async function () {
    if (!findProgram("npm")) return skipWithout(this, "npm");
    const cache = mkdtempSync(join(tmpdir(), "latchkey-test-"));
    const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
    const env = { PATH: path.join(delimiter), HOME: cache, npm_config_cache: cache };
    const command = ["run", "-s", "latchkey", "--", "users", "--help"];
    const { stdout, stderr } = await start("npm", command, { cwd: ROOT, env }).outcome;
    rmSync(cache, { recursive: true, force: true });
    expect(stdout, stderr).to.match(/^Usage: latchkey users /);
  });

  it("tells the version of the package, and of a Node that is too old", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    expect(VERSION).to.equal(version);
    expect(await runSource("cli.ts", ["--version"])).to.deep.equal({ code: 0, stdout: `${version}\n`, stderr: "" });
    expect(() => requireNode("20.20.2", "/usr/bin/node")).to.throw(
      "needs Node 24 or newer; this is 20.20.2 (/usr/bin/node)",
    );
    requireNode("24.0.0", "");
  });
});
