import { expect } from "chai";
import { SignOutScope } from "../gen/auth/v1/session_pb.ts";
import { fail, from, limited } from "./support/limits.ts";
import { newPerson, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

describe("on the path that succeeds", () => {
  let service: TestService;
  let person: Awaited<ReturnType<typeof signUpConfirmed>>;
  before(async () => {
    service = await startService({ config: limited() });
    person = await signUpConfirmed(service);
  });
  after(() => service.stop());

  /** The first word of each statement that the calls of `run` cost. */
  async function wordsOf(run: () => Promise<unknown>): Promise<string[]> {
    return (await statementsOf(run)).map((statement) => /\w+/.exec(statement)?.[0].toUpperCase() ?? "");
  }

  const signInAgain = () => signIn(service, person);

  it("a refresh with the current token is one statement", async () => {
    const { refreshToken } = await signInAgain();
    expect(await wordsOf(() => refresh(service, refreshToken))).to.deep.equal(["CALL"]);
  });

  it("a refresh with a fixed token is one statement", async () => {
    const { username: login, password } = person;
    const { tokens } = await service.auth.signIn({ login, password, fixedRefreshToken: true });
    expect(await wordsOf(() => refresh(service, tokens?.refreshToken ?? ""))).to.deep.equal(["CALL"]);
  });

  it("a refresh within the grace is the refused statement and one short transaction", async () => {
    const { refreshToken } = await signInAgain();
    await refresh(service, refreshToken);
    const words = await wordsOf(() => refresh(service, refreshToken));
    expect(words).to.deep.equal(["CALL", "START", "SELECT", "UPDATE", "COMMIT"]);
  });

  it("a reuse is the refused statement and one short transaction, which is committed", async () => {
    const { refreshToken } = await signInAgain();
    await refresh(service, refreshToken);
    await passTime(service, 31_000);
    const words = await wordsOf(async () => {
      expect(await refusalOf(refresh(service, refreshToken))).to.equal("INVALID_TOKEN");
    });
    expect(words).to.deep.equal(["CALL", "START", "SELECT", "WITH", "COMMIT"]);
  });

  it("GetMe is one statement", async () => {
    const { options } = await signInAgain();
    expect(await wordsOf(() => service.auth.getMe({}, options))).to.deep.equal(["SELECT"]);
  });

  it("ListSessions is one statement, RevokeSession another", async () => {
    const first = await signInAgain();
    const { options } = await signInAgain();
    expect(await wordsOf(() => service.auth.listSessions({}, options))).to.deep.equal(["SELECT"]);
    const { sid: sessionId } = claimsOf(first);
    expect(await wordsOf(() => service.auth.revokeSession({ sessionId }, options))).to.deep.equal(["WITH"]);
  });

  it("SignIn is three statements: its limits, what the password is compared with, and the session", async () => {
    expect(await wordsOf(signInAgain)).to.deep.equal(["WITH", "SELECT", "CALL"]);
  });

  it("SignIn is as many from a known device, and two without limits", async () => {
    const { refreshToken: deviceToken } = await signInAgain();
    const { username: login, password } = person;
    const call = () => service.auth.signIn({ login, password, deviceToken });
    expect(await wordsOf(call)).to.deep.equal(["WITH", "SELECT", "CALL"]);
    const { database } = service;
    const unlimited = await startService({ database });
    expect(await wordsOf(() => unlimited.auth.signIn({ login, password }))).to.deep.equal(["SELECT", "CALL"]);
    await unlimited.stop();
  });

  it("SignOut of one session is one statement", async () => {
    const { refreshToken } = await signInAgain();
    expect(await wordsOf(() => service.auth.signOut({ refreshToken }))).to.deep.equal(["WITH"]);
    const { options } = await signInAgain();
    expect(await wordsOf(() => service.auth.signOut({}, options))).to.deep.equal(["WITH"]);
  });

  for (const scope of ["OTHERS", "ALL"] as const) {
    it(`SignOut of ${scope} is one transaction: the account's row first, then its sessions`, async () => {
      await signInAgain();
      const { refreshToken } = await signInAgain();
      const words = await wordsOf(() => service.auth.signOut({ refreshToken, scope: SignOutScope[scope] }));
      expect(words).to.deep.equal(["START", "SELECT", "WITH", "COMMIT"]);
    });
  }

  it("SignUp is its limits and one read, then after the hash one transaction that waits for no mail", async () => {
    const words = await wordsOf(() => service.auth.signUp(newPerson()));
    expect(words).to.deep.equal(["WITH", "SELECT", "START", "WITH", "INSERT", "WITH", "COMMIT"]);
  });

  it("a mail that is asked for is its limits, then one transaction that waits for no mail, the address known or not", async () => {
    for (const { email } of [person, newPerson()]) {
      const reset = await wordsOf(() => service.auth.requestPasswordReset({ email }));
      expect(reset).to.deep.equal(["WITH", "START", "SELECT", "SELECT", "UPDATE", "WITH", "WITH", "COMMIT"]);
    }
  });

  it("ConfirmEmail is one transaction by a link; by a code its try is before that, and where an address counts its limit", async () => {
    const confirmation = ["START", "SELECT", "WITH", "COMMIT"];
    const mailed = async () => {
      const { email } = newPerson();
      await service.auth.signUp({ ...newPerson(), email });
      return { email, ...(await readMail(service, email)) };
    };
    const [first, second, third] = [await mailed(), await mailed(), await mailed()];
    const { token } = first;
    expect(await wordsOf(() => service.auth.confirmEmail({ token }))).to.deep.equal(confirmation);
    const confirm = ({ email, code }: typeof first, options = {}) =>
      wordsOf(() => refusalOf(service.auth.confirmEmail({ email, code }, options)));
    expect(await confirm(second)).to.deep.equal(["UPDATE", ...confirmation]);
    const here = from("203.0.113.60");
    expect(await confirm(third, here)).to.deep.equal(["WITH", "UPDATE", ...confirmation]);
    expect(await confirm({ ...third, email: newPerson().email }, here)).to.deep.equal(["WITH", "UPDATE"]);
  });

  it("a call over its limits is one statement", async () => {
    const login = newPerson().username;
    await fail(service, login, 5);
    expect(await wordsOf(() => fail(service, login))).to.deep.equal(["WITH"]);
  });

  it("a call that is refused before the database is asked costs none", async () => {
    const statements = await wordsOf(async () => {
      expect(await refusalOf(service.auth.getMe({}))).to.equal("INVALID_TOKEN");
      expect(await refusalOf(service.auth.signUp({ ...newPerson(), password: "short" }))).to.equal("INVALID_ARGUMENT");
      expect(await refusalOf(service.auth.confirmEmail({ token: "junk" }))).to.equal("INVALID_TOKEN");
      expect(await refusalOf(service.auth.resetPassword({ token: "junk" }))).to.equal("INVALID_TOKEN");
    });
    expect(statements).to.deep.equal([]);
  });
});

describe("three hundred refreshes of a session", () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
    const service = await startService({ database });
    try {
      let { refreshToken } = await signIn(service, await signUpConfirmed(service));
      // PostgreSQL knows then how small the tables are.
      await database.query("ANALYZE sessions, users");
      for (let turn = 0; turn < 300; turn++) ({ refreshToken } = await refresh(service, refreshToken));
    } finally {
      // A connection tells the statistics what it did when it ends, at the latest.
      await service.stop();
    }
    await waitUntil(async () => (await statistics("sessions")).updates >= 300);
  });
  after(() => database.drop());

  async function statistics(table: string) {
    const [row] = await database.query<{ updates: number; hot: number; byIndex: number }>(
      `SELECT n_tup_upd::int AS updates, n_tup_hot_upd::int AS hot, idx_scan::int AS "byIndex"
       FROM pg_stat_user_tables WHERE relname = $1`,
      table,
    );
    return row ?? { updates: 0, hot: 0, byIndex: 0 };
  }

  it("are nearly all HOT: no index grows", async () => {
    const { updates, hot } = await statistics("sessions");
    expect(updates).to.equal(300);
    expect(hot).to.be.at.least(295);
  });

  it("find their rows by index, though the tables are small: the plan is kept while they grow", async () => {
    for (const table of ["sessions", "users"]) expect((await statistics(table)).byIndex, table).to.be.at.least(300);
  });
});
