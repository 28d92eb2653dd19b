import { expect } from "chai";
import { createSecret } from "../src/secret.ts";
import { bearer, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { startService, type TestService } from "./support/service.ts";
import { refresh } from "./support/tokens.ts";

const PURPOSES = ["identifier", "pepper", "refresh_token", "secret_token", "sign_access"];
const EIGHT = Array.from({ length: 8 }, (_, index) => index);

describe("started at once on an empty database", () => {
  let database: TestDatabase;
  let services: TestService[] = [];
  let processes: ServiceProcess[] = [];
  afterEach(async () => {
    for (const started of [...services, ...processes]) await started.stop();
    services = [];
    processes = [];
    await database.drop();
  });

  async function startAll(count: number): Promise<void> {
    const mails: TestService["mails"] = [];
    const starts = EIGHT.slice(0, count).map(() => startService({ database, mails }));
    const settled = await Promise.allSettled(starts);
    services = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(settled.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []))).to.deep.equal(
      [],
    );
  }

  const purposes = async () =>
    (await database.query<{ purpose: string }>("SELECT purpose FROM keys")).map(({ purpose }) => purpose).sort();

  async function expectOneService(): Promise<void> {
    const [first, ...others] = services;
    if (!first) throw new Error("none was started");
    const person = await signUpConfirmed(first);
    let { accessToken, refreshToken } = await signIn(first, person);
    for (const other of others) {
      expect((await other.auth.getMe({}, bearer(accessToken))).user?.id).to.equal(person.id);
      ({ accessToken, refreshToken } = await refresh(other, refreshToken));
      await signIn(other, person);
    }
  }

  it("eight services that have the schema make one key of each purpose and take each other's tokens", async () => {
    database = await createTestDatabase();
    await startAll(8);
    expect(await purposes()).to.deep.equal(PURPOSES);
    await expectOneService();
  });

  it("eight services that have no schema either run each migration once", async () => {
    database = await createTestDatabase({ migrated: false });
    await startAll(8);
    const ran = services.flatMap(({ app }) => app.migrations);
    const applied = await database.query<{ name: string }>("SELECT name FROM schema_migrations ORDER BY name");
    expect(applied.map(({ name }) => name)).to.deep.equal([...ran].sort()).and.not.be.empty;
    expect(await purposes()).to.deep.equal(PURPOSES);
    await expectOneService();
  });

  it("eight processes that have no schema all come up, with one key of each purpose, and take each other's tokens", async () => {
    database = await createTestDatabase({ migrated: false });
    const settled = await Promise.allSettled(EIGHT.map(() => startProcess(database)));
    processes = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(settled.map(({ status }) => status)).to.deep.equal(EIGHT.map(() => "fulfilled"));
    expect(await purposes()).to.deep.equal(PURPOSES);
    const [one, two, ...others] = processes;
    const person = { username: "ada", email: "ada@example.com", password: "correct horse battery" };
    await one?.auth.signUp(person);
    expect(await refusalOf(two?.auth.signUp(person) ?? Promise.resolve())).to.equal("EMAIL_TAKEN");
    await database.query("UPDATE users SET email_confirmed_at = now()");
    const { tokens } = (await one?.auth.signIn({ login: "ada", password: person.password })) ?? {};
    for (const other of others) {
      const me = await other.auth.getMe({}, bearer(tokens?.accessToken ?? ""));
      expect(me.user?.username).to.equal("ada");
    }
  });
});

describe("a service with another SECRET_KEY than the database's", () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
    await (await startService({ database })).stop();
  });
  after(() => database.drop());

  const snapshot = async () => [
    await database.query("SELECT * FROM keys ORDER BY id"),
    await database.query("SELECT * FROM schema_migrations"),
    await database.query("SELECT count(*) FROM pg_class"),
  ];

  it("does not start, says what to do, and changes nothing; the right key starts it", async () => {
    const before = await snapshot();
    const refusal = await startProcess(database, { SECRET_KEY: "another secret key, as long as the first" }).then(
      async (started) => started.stop().then(() => "it started"),
      (error: Error) => error.message,
    );
    expect(refusal).to.match(/SECRET_KEY does not open the keys in this database.*Start with that key/);
    expect(refusal).not.to.contain("another secret key");
    expect(await snapshot()).to.deep.equal(before);
    const right = await startProcess(database);
    await right.stop();
    expect(await snapshot()).to.deep.equal(before);
  });

  it("makes no key of its own where one is missing", async () => {
    await database.query("DELETE FROM keys WHERE purpose = 'pepper'");
    const before = await snapshot();
    const secretKey = createSecret("another secret key, as long as the first");
    const refusal = await startService({ database, config: { secretKey } }).then(
      async (started) => started.stop().then(() => "it started"),
      (error: Error) => error.name,
    );
    expect(refusal).to.equal("WrongSecretKey");
    expect(await snapshot()).to.deep.equal(before);
  });
});
