import { expect } from "chai";
import fc from "fast-check";
import { histories, type Step } from "./support/history-commands.ts";
import { ACCESS_TTL, GRACE, MAX_AGE, REFRESH_TTL } from "./support/history-model.ts";
import { playHistory, type Stage } from "./support/history-run.ts";
import { signInAdmin } from "./support/people.ts";
import { startService } from "./support/service.ts";

/** How many histories are played, by the fifty; a longer run begins with the same ones. */
const HISTORIES = Number(process.env.HISTORIES ?? 200);
const AT_ONCE = 50;
const SEED = 1;
const SHRINK_MS = 20_000;
/** A race that was lost once is given more than one chance to be lost again while the history is made shorter. */
const SHRINK_TRIES = 5;

const MINUTE = 60_000;
const LIFETIMES = {
  ...{ refreshGrace: GRACE * MINUTE, accessTokenTtl: ACCESS_TTL * MINUTE },
  ...{ refreshTokenTtl: REFRESH_TTL * MINUTE, sessionMaxAge: MAX_AGE * MINUTE },
};

describe("whatever people do at once, sessions keep to the rules", () => {
  let services: Stage["services"];
  before(async () => {
    const first = await startService({ config: LIFETIMES });
    const { database, clock, mails } = first;
    services = [first, await startService({ config: LIFETIMES, database, clock, mails })];
  });
  after(async () => {
    await services[1].stop();
    await services[0].stop();
  });

  for (let first = 1; first <= HISTORIES; first += AT_ONCE) {
    const last = Math.min(first + AT_ONCE - 1, HISTORIES);

    it(`in histories ${first} to ${last}`, async function () {
      this.timeout(SHRINK_MS + 2 * MINUTE);
      await services[0].database.query("TRUNCATE users, sessions, secret_tokens, revocations, mails");
      const admin = await signInAdmin(services[0]);
      const play = withShrinking((steps) => playHistory({ services, admin }, steps));
      await fc.assert(fc.asyncProperty(histories, play), { seed: SEED + first, numRuns: last - first + 1 });
      const errors = services.flatMap(({ lines }) => lines.filter((line) => line.includes('"level":"error"')));
      expect(errors).to.deep.equal([]);
    });
  }
});

type Play = (steps: readonly Step[]) => Promise<void>;

/** Plays each shorter form of a history that failed several times, and for so long: then what has been found is told. */
function withShrinking(play: Play): Play {
  let failedAt: number | undefined;
  return async (steps) => {
    const tries = failedAt === undefined ? 1 : SHRINK_TRIES;
    for (let attempt = 0; attempt < tries; attempt++) {
      if (failedAt !== undefined && performance.now() - failedAt > SHRINK_MS) return;
      try {
        await play(steps);
      } catch (error) {
        failedAt ??= performance.now();
        throw error;
      }
    }
  };
}
