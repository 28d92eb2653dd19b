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

  it("answers the calls under way, and ends without fault", async () => {
    const service = await startProcess(database, SLOW);
    const { settled } = await beginSignUps(service);
    const stopped = service.stop("SIGTERM");
    await waitUntil(async () => (await fetch(`${service.httpUrl}/readyz`).catch(() => null))?.status !== 200);
    expect((await settled).map(({ status }) => status)).to.deep.equal(Array(4).fill("fulfilled"));
    expect(await stopped).to.equal(0);
  });

  it("ends at once when it is told again", async () => {
    const service = await startProcess(database, SLOW);
    const { settled } = await beginSignUps(service);
    process.kill(service.pid, "SIGTERM");
    await waitUntil(() => service.lines.some((line) => line.includes('"stopping"')));
    expect(await service.stop("SIGTERM")).to.equal(1);
    expect((await settled).map(({ status }) => status)).to.include("rejected");
  });
});
