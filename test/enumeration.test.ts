import { expect } from "chai";
import { hashesOf } from "./support/hashes.ts";
import { postJson } from "./support/http.ts";
import { newPerson, PASSWORD, refusalOf, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { statusOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";

const WRONG = "quite another password";

/** The ways to sign in on the HTTP listener. */
const SIGN_IN_ROUTES = ["/sign-in", "/auth/login", "/api/auth/login", "/auth.v1.AuthService/SignIn"];

describe("who has an account", () => {
  let service: TestService;
  /** Logins with which a wrong password must look the same, by what is special about them. */
  let logins: Record<string, string>;
  before(async () => {
    service = await startService();
    const admin = await signInAdmin(service);
    const [known, blocked, cleared, unconfirmed] = [
      await signUpConfirmed(service),
      await signUpConfirmed(service),
      await signUpConfirmed(service),
      newPerson(),
    ];
    await service.admin.setUserActive({ userId: blocked.id, isActive: false }, admin.options);
    await service.database.query("UPDATE users SET password_hash = NULL WHERE id = $1", cleared.id);
    await service.auth.signUp(unconfirmed);
    logins = {
      "a known username": known.username,
      "a known address": known.email,
      "a blocked account": blocked.email,
      "an account without a password": cleared.username,
      "an unconfirmed account": unconfirmed.email,
      "an unknown username": newPerson().username,
      "an unknown address": newPerson().email,
    };
  });
  after(() => service.stop());

  it("cannot be told from a refused sign-in over gRPC, byte by byte", async () => {
    const seen = Object.values(logins).map((login) => statusOf(service.auth.signIn({ login, password: WRONG })));
    const [first, ...others] = await Promise.all(seen);
    expect(first).to.include("Incorrect username or password");
    for (const other of others) expect(other).to.equal(first);
  });

  for (const route of SIGN_IN_ROUTES) {
    it(`cannot be told from a refused sign-in on ${route}, byte by byte`, async () => {
      const seen = Object.values(logins).map(async (login) => {
        const { status, headers, text } = await postJson(service, route, { login, password: WRONG });
        return JSON.stringify([status, [...headers].filter(([name]) => name !== "date"), text]);
      });
      const [first, ...others] = await Promise.all(seen);
      expect(first).to.match(/^\[401.*Incorrect username or password/);
      for (const other of others) expect(other).to.equal(first);
    });
  }

  it("cannot be told from the work of a refused sign-in: one hash, one statement, no mail", async () => {
    const before = await service.database.query("SELECT count(*) FROM mails");
    const works = new Map<string, string>();
    for (const [who, login] of Object.entries(logins)) {
      let statements: string[] = [];
      const hashes = await hashesOf(async () => {
        statements = await statementsOf(() => refusalOf(service.auth.signIn({ login, password: WRONG })));
      });
      expect([hashes.length, statements.length], who).to.deep.equal([1, 1]);
      const costs = hashes.map(({ task }) => ("hash" in task ? task.hash.slice(0, 7) : "a new hash"));
      works.set(who, JSON.stringify([costs, statements.map(withoutValues)]));
    }
    expect(new Set([...works].filter(([who]) => who.endsWith("username")).map(([, work]) => work)).size).to.equal(1);
    expect(new Set([...works].filter(([who]) => who.endsWith("address")).map(([, work]) => work)).size).to.equal(1);
    expect(await service.database.query("SELECT count(*) FROM mails")).to.deep.equal(before);
  });

  it("cannot be told from what a request for a reset answers", async () => {
    const seen = Object.entries(logins)
      .filter(([, login]) => login.includes("@"))
      .map(async ([, email]) => {
        const overGrpc = await service.auth.requestPasswordReset({ email });
        const route = "/auth.v1.AuthService/RequestPasswordReset";
        const { status, headers, text } = await postJson(service, route, { email });
        return JSON.stringify([overGrpc, status, [...headers].filter(([name]) => name !== "date"), text]);
      });
    expect(new Set(await Promise.all(seen)).size).to.equal(1);
  });

  it("cannot be told, while the address is not confirmed, from what a request for a confirmation answers", async () => {
    const emails = [logins["an unconfirmed account"] ?? "", logins["an unknown address"] ?? ""];
    const seen = emails.map(async (email) => {
      const overGrpc = await service.auth.requestEmailConfirmation({ email });
      const { status, headers, text } = await postJson(service, "/api/auth/request_email", { email });
      return JSON.stringify([overGrpc, status, [...headers].filter(([name]) => name !== "date"), text]);
    });
    const [known, unknown] = await Promise.all(seen);
    expect(known).to.equal(unknown);
  });

  it("costs a sign-up one hash, whether names are taken or not", async () => {
    const [confirmed, unconfirmed] = [await signUpConfirmed(service), newPerson()];
    await service.auth.signUp(unconfirmed);
    const { email } = confirmed;
    const arms = {
      "nothing is taken": newPerson(),
      "a confirmed address is taken": { ...newPerson(), email },
      "an unconfirmed address is taken": { ...newPerson(), email: unconfirmed.email },
      "an unconfirmed address is taken, password and all": { ...newPerson(), email: unconfirmed.email },
      "a username is taken": { ...newPerson(), username: confirmed.username },
      "both are taken": unconfirmed,
    };
    for (const [what, request] of Object.entries(arms)) {
      const password = what.endsWith("and all") ? PASSWORD : WRONG;
      const hashes = await hashesOf(() => refusalOf(service.auth.signUp({ ...request, password })));
      expect(hashes, what).to.have.length(1);
    }
  });
});

function withoutValues(statement: string): string {
  return statement.replaceAll(/'[^']*'/g, "?");
}
