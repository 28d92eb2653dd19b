import { fromJsonString } from "@bufbuild/protobuf";
import { expect } from "chai";
import { GetUserResponseSchema, ListUsersResponseSchema } from "../gen/auth/v1/admin_service_pb.ts";
import { runSource } from "./support/commands.ts";
import { bearer, newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";

describe("the operator's commands on accounts", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const latchkey = (args: readonly string[], input = "") => {
    const env = { DATABASE_URL: service.database.url, SECRET_KEY, BCRYPT_COST: "10" };
    return runSource("cli.ts", args, { env, input });
  };
  const users = (...args: string[]) => latchkey(["users", ...args]);

  it("make the first admin, who signs in and does an admin's work", async () => {
    const names = ["--username", "root", "--email", "Root@Example.com", "--role", "support", "--role", "admin"];
    const made = await latchkey(["users", "create", ...names, "--locale", "de-at"], `${PASSWORD}\n`);
    const { tokens, user } = await service.auth.signIn({ login: "root", password: PASSWORD });
    expect(made).to.deep.equal({
      code: 0,
      stdout: `created ${user?.id} root <Root@Example.com>, roles: admin, support\n`,
      stderr: "",
    });
    expect(user).to.include({ emailConfirmed: true, locale: "de-AT" });
    const { users: all } = await service.admin.listUsers({}, bearer(tokens?.accessToken ?? ""));
    expect(all.map(({ username }) => username)).to.deep.equal(["root"]);
    expect(service.mails).to.deep.equal([]);
  });

  it("cut one newline off a password from stdin, and nothing else", async () => {
    const create = (username: string, input: string) =>
      latchkey(["users", "create", "--username", username, "--email", `${username}@example.com`], input);
    const made = await Promise.all([create("one", " one newline\r\n"), create("two", "two newlines\n\n")]);
    expect(made.map(({ code }) => code)).to.deep.equal([0, 0]);
    await signIn(service, { username: "one", password: " one newline" });
    await signIn(service, { username: "two", password: "two newlines\n" });
  });

  it("show an account by id, username or address, in words or as the RPC's own JSON", async () => {
    const ada = await signUpConfirmed(service, { ...newPerson(), username: "Ada", email: "ada@example.com" });
    const [byId, byName, asJson] = await Promise.all([
      users("show", String(ada.id)),
      users("show", "ADA"),
      users("show", "Ada@example.com", "--json"),
    ]);
    expect(byId).to.deep.equal(byName);
    const lines = byId.stdout.trim().split("\n");
    const rows = Object.fromEntries(lines.map((line) => line.split(/ {2,}/)));
    expect(rows).to.include({ id: String(ada.id), username: "Ada", email: "ada@example.com" });
    expect(rows).to.include({ state: "active", roles: "none", locale: "en", "last sign-in": "never" });
    const { user } = fromJsonString(GetUserResponseSchema, asJson.stdout);
    expect(user).to.include({ id: ada.id, username: "Ada", isActive: true, emailConfirmed: true });
    expect(asJson.stdout.match(/\n/g)).to.have.lengthOf(1);
  });

  it("show why an account is blocked, and until when", async () => {
    const { username } = await signUpConfirmed(service);
    const shown = async () => {
      const lines = (await users("show", username)).stdout.trim().split("\n");
      return Object.fromEntries(lines.map((line) => line.split(/ {2,}/)));
    };
    const until = "2070-01-31T12:00:00Z";
    await users("block", username, "--reason", "spam\x1b[2J\nstate", "--until", until);
    const reason = String.raw`"spam\u001b[2J\nstate"`;
    expect(await shown()).to.include({ state: "blocked", "blocked until": until, reason });
    await users("block", username);
    expect(await shown())
      .to.include({ state: "blocked", "blocked until": "somebody ends it" })
      .and.not.have.key("reason");
    await users("unblock", username);
    expect(await shown())
      .to.include({ state: "active" })
      .and.not.have.any.keys("reason", "blocked until");
  });

  it("tell a username that is only held back from an account", async () => {
    const holder = await signUpConfirmed(service);
    const hiding = await startService({ database: service.database, config: { accountDisclosure: "hidden" } });
    const { username } = newPerson();
    await hiding.auth.signUp({ ...newPerson(), username, email: holder.email });
    await hiding.stop();
    const [, row = ""] = (await users("list", "--prefix", username)).stdout.split("\n");
    expect(row).to.match(/^\d+ +\S+ +none +held back +none +\S+Z +never$/);
    expect((await users("show", username)).stdout).to.match(/^state +held back$/m);
    const [id] = row.split(" ", 1);
    expect((await users("delete", username, "--yes")).stdout).to.equal(`deleted ${id} ${username} (held back)\n`);
    await service.auth.signUp({ ...newPerson(), username });
  });

  it("take a number for a username where it is nobody's id, and refuse it where it is somebody else's", async () => {
    const named = await signUpConfirmed(service, { ...newPerson(), username: "770001" });
    expect((await users("show", "770001")).stdout).to.include(named.email);
    await service.database.query("ALTER TABLE users ALTER id RESTART WITH 770001");
    await signUpConfirmed(service);
    expect(await users("block", "770001")).to.deep.equal({
      code: 1,
      stdout: "",
      stderr:
        "INVALID_ARGUMENT: Invalid request\n  user: MALFORMED, is the id of one account and the username of another: give an address\n",
    });
  });

  it("block an account, whose live access token is refused by the running service at once", async () => {
    const person = await signUpConfirmed(service);
    const { options } = await signIn(service, person);
    const reason = "sold things; didn't deliver";
    const until = "2130-01-31T13:00:00.5+01:00";
    const { stdout } = await users("block", person.username, "--reason", reason, "--until", until);
    expect(stdout).to.equal(`blocked ${person.id} ${person.username} <${person.email}> until 2130-01-31T12:00:00Z\n`);
    await waitUntil(async () => (await refusalOf(service.auth.getMe({}, options))) === "INVALID_TOKEN");
    expect(await refusalOf(signIn(service, person))).to.equal("USER_BLOCKED");
    const sql = "SELECT block_reason AS reason, blocked_until AS until FROM users WHERE id = $1";
    const rows = await service.database.query(sql, person.id);
    expect(rows).to.deep.equal([{ reason, until: new Date(until) }]);
    const unblocked = await users("unblock", person.email);
    expect(unblocked.stdout).to.equal(`unblocked ${person.id} ${person.username} <${person.email}>\n`);
    await signIn(service, person);
  });

  it("set the whole set of roles, also to none", async () => {
    const { username, id, email } = await signUpConfirmed(service);
    const given = await users("set-role", username, "support", "editor", "support");
    expect(given.stdout).to.equal(`roles of ${id} ${username} <${email}>: editor, support\n`);
    const taken = await users("set-role", username, "--json");
    expect(fromJsonString(GetUserResponseSchema, taken.stdout).user?.roles).to.deep.equal([]);
  });

  it("delete an account when told not to ask, and free its names", async () => {
    const person = await signUpConfirmed(service);
    const { options } = await signIn(service, person);
    const unasked = await users("delete", person.username);
    expect(unasked).to.deep.equal({ code: 1, stdout: "", stderr: "there is no terminal to ask at: give --yes\n" });
    const deleted = await users("delete", person.email.toUpperCase(), "--yes");
    const told = `deleted ${person.id} ${person.username} <${person.email}>\n`;
    expect(deleted).to.deep.equal({ code: 0, stdout: told, stderr: "" });
    await waitUntil(async () => (await refusalOf(service.auth.listSessions({}, options))) === "INVALID_TOKEN");
    expect(await users("delete", person.email, "-y")).to.include({
      code: 1,
      stderr: "USER_NOT_FOUND: User not found\n",
    });
    await service.auth.signUp(person);
    const asJson = await users("delete", person.username, "--yes", "--json");
    expect(asJson).to.deep.equal({ code: 0, stdout: "{}\n", stderr: "" });
  });

  it("refuse what the rules refuse, with the reason and each faulty field, and change nothing", async () => {
    const [lastAdmin, deleted, demoted, unknown, faulty] = await Promise.all([
      users("block", "root"),
      users("delete", "root", "--yes"),
      users("set-role", "root", "support"),
      users("show", "nobody@example.com"),
      latchkey(["users", "create", "--username", "x", "--email", "x", "--role", "Admin"], "password"),
    ]);
    const message = "LAST_ADMIN: The last active admin cannot be blocked or demoted\n";
    expect(lastAdmin).to.deep.equal({ code: 1, stdout: "", stderr: message });
    expect(deleted).to.deep.equal({ code: 1, stdout: "", stderr: message });
    expect(demoted).to.deep.equal({ code: 1, stdout: "", stderr: message });
    expect(unknown).to.deep.equal({ code: 1, stdout: "", stderr: "USER_NOT_FOUND: User not found\n" });
    expect([faulty.code, faulty.stdout]).to.deep.equal([1, ""]);
    expect(faulty.stderr).to.match(/^INVALID_ARGUMENT: Invalid request\n/);
    const fields = [...faulty.stderr.matchAll(/^ {2}(\w+): ([A-Z_]+), .+$/gm)].map(([, field, reason]) => [
      field,
      reason,
    ]);
    expect(fields).to.deep.equal([
      ["username", "TOO_SHORT"],
      ["email", "MALFORMED"],
      ["password", "PASSWORD_TOO_COMMON"],
      ["roles", "MALFORMED"],
    ]);
    const roots = await service.database.query("SELECT is_active, roles FROM users WHERE username = 'root'");
    expect(roots).to.deep.equal([{ is_active: true, roles: ["admin", "support"] }]);
  });

  describe("list", () => {
    before(() =>
      service.database.query(
        `INSERT INTO users (username, username_key, email, email_key, locale, is_active)
         SELECT name, name, name || '@many.example', name || '@many.example', 'en', name <> 'many002'
         FROM (SELECT 'many' || to_char(n, 'FM000') AS name FROM generate_series(1, 205) n) names`,
      ),
    );

    const many = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, index) => `many${String(from + index).padStart(3, "0")}`);

    it("all accounts as a table", async () => {
      const { stdout } = await users("list", "--prefix", "MANY");
      const [head, ...lines] = stdout.trimEnd().split("\n");
      expect(head).to.match(/^ID +USERNAME +EMAIL +STATE +ROLES +CREATED +LAST SIGN-IN$/);
      expect(lines.map((line) => line.split(/ +/)[1])).to.deep.equal(many(1, 205));
      expect(lines[0]).to.match(/^\d+ +many001 +many001@many\.example +unconfirmed +none +\S+Z +never$/);
      expect(lines[1]).to.include("  blocked, unconfirmed  ");
      expect(new Set(lines.map((line) => line.indexOf("many"))).size).to.equal(1);
    });

    it("all accounts as JSON, an answer of the RPC on each line", async () => {
      const everybody = await users("list", "--json", "--prefix", "many");
      const answers = everybody.stdout.trimEnd().split("\n");
      const pages = answers.map((line) => fromJsonString(ListUsersResponseSchema, line).users);
      expect(pages.map((page) => page.length)).to.deep.equal([100, 100, 5]);
      expect(pages.flat().map(({ username }) => username)).to.deep.equal(many(1, 205));
    });

    it("one page when one is asked for, and the one after it", async () => {
      const page = ["list", "--prefix", "many", "--page-size", "3", "--json"];
      const { nextPageToken } = fromJsonString(ListUsersResponseSchema, (await users(...page)).stdout);
      const second = fromJsonString(
        ListUsersResponseSchema,
        (await users(...page, "--page-token", nextPageToken)).stdout,
      );
      expect(second.users.map(({ username }) => username)).to.deep.equal(many(4, 6));
    });
  });
});
