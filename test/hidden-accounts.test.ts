import { expect } from "chai";
import { ADDRESS_LOCKS } from "../src/db/advisory-locks.ts";
import { ADDRESSES, HIDDEN_CALLS, type HiddenCall } from "./support/disclosure.ts";
import { limited } from "./support/limits.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";
import { type Work, workOf } from "./support/work.ts";

describe("where accounts are hidden,", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { accountDisclosure: "hidden" } });
  });
  after(() => service.stop());

  for (const [name, { make, raw, mails }] of Object.entries<HiddenCall>(HIDDEN_CALLS)) {
    it(`${name} gets the same answer for every address by every way in, byte by byte`, async () => {
      const ways = Object.keys(raw("somebody@example.com"));
      for (const way of ways) {
        const answers = new Map<string, string>();
        for (const [address, find] of Object.entries(ADDRESSES)) {
          const email = await find(service);
          answers.set(address, (await raw(email)[way]?.(service)) ?? "");
        }
        expect(answers.get("unknown"), way).to.match(/^\[\[20|"grpc-status","0"/);
        for (const [address, answer] of answers) expect(answer, `${way}, ${address}`).to.equal(answers.get("unknown"));
      }
    });

    it(`${name} costs the same hashes, statements and rows for every address`, async () => {
      const works = new Map<string, Work>();
      for (const [address, find] of Object.entries(ADDRESSES)) {
        const email = await find(service);
        works.set(address, await workOf(service, () => make(service, email)));
      }
      const unknown = works.get("unknown");
      expect(unknown?.statements.at(-1)).to.equal("COMMIT;");
      expect(unknown?.rows).to.include({ tokens: 1, mails: 1, jobs: 1 });
      for (const [address, work] of works) expect(work, address).to.deep.equal(unknown);
    });

    it(`${name} costs the same the second and the third time`, async () => {
      const [unknown, confirmed] = [await ADDRESSES.unknown(), await ADDRESSES.confirmed(service)];
      for (let turn = 1; turn <= 3; turn++) {
        const [first, second] = [
          await workOf(service, () => make(service, unknown)),
          await workOf(service, () => make(service, confirmed)),
        ];
        expect(first, `turn ${turn}`).to.deep.equal(second);
      }
    });

    it(`${name} waits for one about the same address, whether an account has it or not`, async () => {
      for (const find of Object.values(ADDRESSES)) {
        const email = await find(service);
        const turn = `SELECT pg_advisory_xact_lock(hashtextextended('${email}', ${ADDRESS_LOCKS}))`;
        const lock = await holdLock(service, turn);
        const call = make(service, email);
        await untilBlocked(service);
        await lock.release();
        await call;
      }
    });

    it(`${name} mails the holder of an address what is the matter, and nobody else`, async () => {
      for (const [address, find] of Object.entries(ADDRESSES)) {
        const email = await find(service);
        const before = await mailedTo(service, email);
        await make(service, email);
        const added = (await mailedTo(service, email)).slice(before.length);
        const queued = () => service.database.query("SELECT 1 FROM mails WHERE state = 'queued'");
        await waitUntil(async () => (await queued()).length === 0);
        expect(added, address).to.deep.equal(mails(address));
        expect(service.mails.filter(({ to }) => to === email)).to.have.length(before.length + added.length);
        expect(service.mails.filter(({ to }) => !to.includes("@"))).to.deep.equal([]);
      }
    });
  }

  for (const name of ["a request for a confirmation", "a request for a reset"] as const) {
    it(`${name} keeps nothing of an unknown address`, async () => {
      const { email } = newPerson();
      await HIDDEN_CALLS[name].make(service, email);
      expect(await tablesWith(email)).to.deep.equal([]);
      const jobs = () => service.database.query("SELECT 1 FROM graphile_worker.jobs");
      await waitUntil(async () => (await jobs()).length === 0);
      expect(service.lines.filter((line) => /error|warn/.test(line))).to.deep.equal([]);
    });
  }

  it("a sign-up with somebody's address keeps nothing of it beside the username", async () => {
    const [email, { username }] = [await ADDRESSES.confirmed(service), newPerson()];
    await service.auth.signUp({ ...newPerson(), username, email, password: "an unused password" });
    const rows = await service.database.query(
      `SELECT email, position('@' in email_key) AS at, password_hash, email_confirmed_at FROM users WHERE username = $1`,
      username,
    );
    expect(rows).to.deep.equal([{ email: "", at: 0, password_hash: null, email_confirmed_at: null }]);
  });

  /** Tables of the service that have a text in any row. */
  async function tablesWith(text: string): Promise<string[]> {
    const tables = await service.database.query<{ name: string }>(
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('public', 'graphile_worker')",
    );
    const found = await Promise.all(
      tables.map(async ({ name }) => {
        const rows = await service.database.query(`SELECT 1 FROM ${name} t WHERE position($1 in t::text) > 0`, text);
        return rows.length > 0 ? [name] : [];
      }),
    );
    return found.flat();
  }
});

describe("where accounts are hidden and mails are limited,", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { ...limited(), accountDisclosure: "hidden" } });
  });
  after(() => service.stop());

  for (const [name, { make }] of Object.entries(HIDDEN_CALLS)) {
    it(`${name} costs the same for every address, also when that has had enough mails`, async () => {
      const [unknown, confirmed] = [await ADDRESSES.unknown(), await ADDRESSES.confirmed(service)];
      await passTime(service, 3_600_000);
      const rows: number[] = [];
      for (let time = 1; time <= 4; time++) {
        const first = await workOf(service, () => make(service, unknown));
        expect(await workOf(service, () => make(service, confirmed)), `time ${time}`).to.deep.equal(first);
        rows.push(first.rows.mails ?? 0);
      }
      expect(rows).to.deep.equal([1, 1, 1, 0]);
    });
  }
});

describe("where accounts are not hidden,", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  it("a request for a reset still costs the same for every address", async () => {
    await expectSameWork(["unknown", "unconfirmed", "confirmed", "of a blocked account"], "a request for a reset");
  });

  it("a request for a confirmation costs the same for an unknown address as for an unconfirmed one", async () => {
    await expectSameWork(["unknown", "unconfirmed"], "a request for a confirmation");
  });

  async function expectSameWork(addresses: (keyof typeof ADDRESSES)[], call: keyof typeof HIDDEN_CALLS): Promise<void> {
    const works: Work[] = [];
    for (const address of addresses) {
      const email = await ADDRESSES[address](service);
      works.push(await workOf(service, () => HIDDEN_CALLS[call].make(service, email)));
    }
    for (const work of works) expect(work).to.deep.equal(works[0]);
    expect(works[0]?.rows).to.include({ tokens: 1, mails: 1, jobs: 1 });
  }
});
