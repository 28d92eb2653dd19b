import { expect } from "chai";
import { followDatabaseClock } from "../src/auth/database-clock.ts";
import { createClock } from "../src/clock.ts";
import { send } from "./support/http.ts";
import { createTestLog } from "./support/log.ts";
import { bearer, newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { findPorts } from "./support/ports.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { startProcess } from "./support/process.ts";
import { startService, type TestService } from "./support/service.ts";
import { moveMachineClock, passTime } from "./support/time.ts";
import { claimsOf } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const OFF = "this machine's clock is wrong, or the database's: the service goes by the database's";
const ON = "this machine's clock and the database's agree again";

describe("a process on a machine with a wrong clock", () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.drop());

  for (const [how, ahead] of [
    ["behind", -10 * MINUTE],
    ["ahead", 10 * MINUTE],
  ] as const) {
    it(`takes its own tokens when it is ten minutes ${how}, warns once, and tells by how much`, async () => {
      const [port] = await findPorts(1);
      const code = `const real = Date.now; Date.now = () => real() + ${ahead};`;
      const service = await startProcess(database, {
        ...{ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` },
        ...{ METRICS_PORT: String(port), EMAIL_CONFIRMATION: "optional", ACCESS_TOKEN_TTL: "1m" },
      });
      try {
        const person = newPerson();
        const { tokens: signedUp } = await service.auth.signUp(person);
        const { tokens: signedIn } = await service.auth.signIn({ login: person.email, password: PASSWORD });
        const { tokens: refreshed } = await service.auth.refreshToken({ refreshToken: signedIn?.refreshToken ?? "" });
        for (const { accessToken } of [signedUp, signedIn, refreshed].filter((tokens) => tokens !== undefined))
          expect((await service.auth.getMe({}, bearer(accessToken))).user?.username).to.equal(person.username);
        const warnings = service.lines.filter((line) => line.includes(OFF));
        expect(warnings).to.have.length(1);
        expect(JSON.parse(warnings[0] ?? "{}").behindMs).to.be.closeTo(-ahead, MINUTE);
        const { text } = await send({ httpUrl: `http://127.0.0.1:${port}` }, "/metrics");
        const [, behind] = /^latchkey_clock_behind_seconds (\S+)$/m.exec(text) ?? [];
        expect(Number(behind)).to.be.closeTo(-ahead / 1000, 60);
      } finally {
        await service.stop();
      }
    });
  }
});

describe("the clock of a service", () => {
  let service: TestService;
  let setBack: () => void = () => {};
  before(async () => {
    service = await startService();
  });
  afterEach(() => setBack());
  after(() => service.stop());

  const logged = (text: string) =>
    service.lines.map((line) => JSON.parse(line)).filter(({ message }) => message === text);

  it("follows the database's when the machine's goes wrong and is put right, and tells each turn once", async () => {
    const person = await signUpConfirmed(service);
    setBack = moveMachineClock(-HOUR);
    await waitUntil(() => logged(OFF).length > 0);
    const tokens = await signIn(service, person);
    expect(await refusalOf(service.auth.getMe({}, tokens.options))).to.equal("");
    setBack();
    await waitUntil(() => logged(ON).length > 0);
    expect(await refusalOf(service.auth.getMe({}, tokens.options))).to.equal("");
    expect([logged(OFF).length, logged(ON).length]).to.deep.equal([1, 1]);
    expect(logged(OFF)[0].behindMs).to.be.closeTo(HOUR, MINUTE);
  });

  it("has tokens end when they say so, though the machine's is behind", async () => {
    setBack = moveMachineClock(-HOUR);
    await waitUntil(() => service.clock.behind > HOUR - MINUTE);
    const tokens = await signIn(service, await signUpConfirmed(service));
    const { iat, exp } = claimsOf(tokens);
    await passTime(service, (exp - iat) * 1000 - MINUTE);
    expect(await refusalOf(service.auth.getMe({}, tokens.options))).to.equal("");
    await passTime(service, MINUTE);
    expect(await refusalOf(service.auth.getMe({}, tokens.options))).to.equal("INVALID_TOKEN");
  });

  it("is not moved by an answer that comes late, and no further than one that comes at once proves", async () => {
    const clock = createClock();
    const askTime = followDatabaseClock(
      clock,
      createTestLog(() => {}),
    );
    // The hour passes before the database looks at its clock, or after that.
    for (const isReadLast of [true, false])
      await askTime(async () => {
        const before = Date.now();
        setBack = moveMachineClock(HOUR);
        return { readAt: new Date(isReadLast ? Date.now() : before) };
      }).finally(() => setBack());
    expect(clock.behind).to.equal(0);
    await askTime(async () => ({ readAt: new Date(Date.now() + HOUR) }));
    expect(clock.behind).to.be.closeTo(HOUR, MINUTE);
    await askTime(async () => ({ readAt: new Date(Date.now()) }));
    expect(clock.behind).to.be.closeTo(0, MINUTE);
  });
});
