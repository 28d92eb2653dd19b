import { expect } from "chai";
import { newPerson, refusalOf } from "./support/people.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { waitUntil } from "./support/wait.ts";

// Some half a second for each password.
const SLOW = { BCRYPT_COST: "13" };

describe("a process that is told to stop", () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.drop());

  /** Starts sign-ups and comes back when they are under way. */
  const beginSignUps = async (service: ServiceProcess) => {
    const calls = Array.from({ length: 4 }, () => service.auth.signUp(newPerson()));
    // A call that was sent after them is answered after they have arrived.
    await refusalOf(service.auth.refreshToken({ refreshToken: "" }));
    return { settled: Promise.allSettled(calls) };
  };

  const isStopping = (service: ServiceProcess) => service.lines.some((line) => line.includes('"stopping"'));

  for (const [times, manner] of [
    [1, "once"],
    [2, "twice at the same moment, as by Ctrl-C under npm"],
  ] as const)
    it(`answers the calls under way and ends without fault, told so ${manner}`, async () => {
      const service = await startProcess(database, SLOW);
      const { settled } = await beginSignUps(service);
      process.kill(service.pid, "SIGINT");
      await waitUntil(() => isStopping(service));
      const stopped = times === 2 ? service.stop("SIGINT") : service.ended;
      await waitUntil(async () => (await fetch(`${service.httpUrl}/readyz`).catch(() => null))?.status !== 200);
      expect((await settled).map(({ status }) => status)).to.deep.equal(Array(4).fill("fulfilled"));
      expect(await stopped).to.equal(0);
      expect(service.lines.at(-1)).to.include('"stopped"');
    });

  it("ends at once when it is told again", async () => {
    const service = await startProcess(database, SLOW);
    const { settled } = await beginSignUps(service);
    process.kill(service.pid, "SIGTERM");
    await waitUntil(() => isStopping(service));
    // Half a second after the first, it is not the same any more.
    const again = setInterval(() => process.kill(service.pid, "SIGTERM"), 100);
    expect(await service.ended.finally(() => clearInterval(again))).to.equal(1);
    expect((await settled).map(({ status }) => status)).to.include("rejected");
  });
});
