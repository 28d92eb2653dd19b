import { expect } from "chai";
import pg from "pg";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";

const HELD = 4711;

describe("a service whose database goes away", () => {
  let service: TestService;
  let administrator: pg.Client;
  before(async () => {
    service = await startService();
    administrator = new pg.Client({ ...service.database.connection, database: "postgres" });
    await administrator.connect();
  });
  after(async () => {
    await administrator.end();
    await service.stop();
  });

  const name = () => service.database.connection.database;
  const takeAway = async () => {
    await administrator.query(`ALTER DATABASE ${name()} ALLOW_CONNECTIONS false`);
    await administrator.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [name()]);
  };
  const giveBack = () => administrator.query(`ALTER DATABASE ${name()} ALLOW_CONNECTIONS true`);
  const stateOf = async (email: string) =>
    (await service.database.query<{ state: string }>("SELECT state FROM mails WHERE recipient = $1", email))[0]?.state;

  /** Makes whoever marks a mail wait until the connection that comes back is ended. */
  const holdMarks = async () => {
    await service.database.query(
      `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(${HELD}); RETURN NEW; END'`,
    );
    await service.database.query("CREATE TRIGGER hold BEFORE UPDATE ON mails FOR EACH ROW EXECUTE FUNCTION hold()");
    const holder = new pg.Client(service.database.connection).on("error", () => {});
    await holder.connect();
    await holder.query("SELECT pg_advisory_lock($1)", [HELD]);
  };

  it("answers UNAVAILABLE meanwhile, and everything as before when it is back", async () => {
    const person = await signUpConfirmed(service);
    const { options, refreshToken } = await signIn(service, person);
    await takeAway();
    const calls = [
      service.auth.getMe({}, options),
      service.auth.refreshToken({ refreshToken }),
      service.auth.signIn({ login: person.username, password: PASSWORD }),
      service.auth.signUp(newPerson()),
      service.auth.signOut({ refreshToken, scope: 3 }),
    ];
    expect(await Promise.all(calls.map(refusalOf))).to.deep.equal(Array(calls.length).fill("UNAVAILABLE"));
    expect((await fetch(`${service.httpUrl}/readyz`)).status).to.equal(503);
    expect((await fetch(`${service.httpUrl}/healthz`)).status).to.equal(200);
    await giveBack();
    await waitUntil(async () => (await fetch(`${service.httpUrl}/readyz`)).status === 200);
    expect((await service.auth.getMe({}, options)).user?.username).to.equal(person.username);
  });

  it("in the middle of a mail goes on sending, that mail too", async () => {
    await holdMarks();
    const [first, second] = [newPerson(), newPerson()];
    await service.auth.signUp(first);
    await waitUntil(() => service.mails.some(({ to }) => to === first.email));
    await takeAway();
    await waitUntil(() => service.lines.some((line) => line.includes("the queue starts again")));
    await giveBack();
    await waitUntil(async () => (await fetch(`${service.httpUrl}/readyz`)).status === 200);
    await service.database.query("DROP TRIGGER hold ON mails");
    await service.auth.signUp(second);
    // After this long the queue takes the job of a worker that was lost for free.
    await passTime(service, 30_000);
    await waitUntil(
      async () => (await stateOf(first.email)) === "sent" && (await stateOf(second.email)) === "sent",
      20_000,
    );
  });
});
