import { expect } from "chai";
import { ADDRESSES, HIDDEN_CALLS } from "./support/disclosure.ts";
import { medianOf, pairTimes, sureness, timeOf } from "./support/paired-times.ts";
import { startService, type TestService } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";

/** After so many pairs it is seen whether more are needed. */
const LOOKS = [250, 500, 1_000];

/** Accounts that have their turns: what the mails to one of them leave behind would add up. */
const KNOWN = 30;

/** Of a commit: what a row more to read costs is below it, whatever waits for the disk or for a hash is not. */
const TOLERANCE = 1 / 4;
const LEAST_TOLERANCE_MS = 0.2;

/** What chance passes, at any of the looks, in less than one of a million runs, however busy the machine; see `sureness`. */
const CERTAIN = 5.2;

/** What gives no reason to look again. */
const UNSUSPICIOUS = 2;

describe("the time of an answer where accounts are hidden", function () {
  this.timeout(300_000);
  let service: TestService;
  const known: string[] = [];
  before(async () => {
    service = await startService({ config: { accountDisclosure: "hidden" } });
    while (known.length < KNOWN) known.push(await ADDRESSES.confirmed(service));
  });
  after(() => service.stop());

  for (const [name, { make }] of Object.entries(HIDDEN_CALLS)) {
    it(`tells of ${name} nothing about the address`, async () => {
      const commits: number[] = [];
      const callWith = async (email: string) => {
        await queueIsDone();
        commits.push(await timeOf(async () => commit));
        return () => make(service, email);
      };
      let turn = 0;
      const differences: number[] = [];
      for (const look of LOOKS) {
        const more = await pairTimes(
          () => callWith(known[turn++ % KNOWN] ?? ""),
          async () => callWith(await ADDRESSES.unknown()),
          look - differences.length,
        );
        differences.push(...more);
        const tolerance = Math.max(LEAST_TOLERANCE_MS, medianOf(commits) * TOLERANCE);
        const sure = sureness(differences, tolerance);
        expect(sure, `${medianOf(differences)} ms`).to.be.below(CERTAIN);
        if (sure < UNSUSPICIOUS) break;
      }
    });
  }

  const commit = () =>
    service.database.query("INSERT INTO revocations (session_id, expires_at) VALUES (gen_random_uuid(), now())");

  /** The mails of one call must not slow down the next. */
  const queueIsDone = () =>
    waitUntil(async () => (await service.database.query("SELECT 1 FROM graphile_worker.jobs")).length === 0);
});
