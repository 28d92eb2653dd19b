import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { type Admission, createAdmission } from "../src/auth/admission.ts";
import { createAppointments } from "../src/auth/appointments.ts";
import type { CallContext } from "../src/auth/call-context.ts";
import { AuthError } from "../src/auth/errors.ts";

describe("who is turned away", () => {
  let time = 100_000;
  const pass = (ms: number) => {
    time += ms;
  };
  const book = () => {
    const { of, give, expected, meet } = createAppointments(() => time);
    return {
      give: (source: string) => Math.round(of(source) ?? give(source, 2_000, 500)),
      expected: (source: string, next = 0) => expected(source, next),
      meet,
    };
  };

  it("is told a time of their own, each as much later as a place takes to become free", () => {
    const { give } = book();
    expect(["a", "b", "c", "d"].map(give)).to.deep.equal([2_000, 2_500, 3_000, 3_500]);
    pass(10_000);
    expect(give("e")).to.equal(2_000);
  });

  it("is told the same time when asking again, and puts nobody off", () => {
    const { give } = book();
    expect([give("a"), give("b")]).to.deep.equal([2_000, 2_500]);
    pass(600);
    expect(Array.from({ length: 100 }, () => give("b"))).to.deep.equal(Array(100).fill(1_900));
    expect(give("c")).to.equal(2_400);
  });

  it("is told to ask again within half a minute when it is later than that, and does not lose their turn", () => {
    const { give } = book();
    const told = Array.from({ length: 100 }, (_, index) => give(`source ${index}`));
    expect(told.slice(0, 57)).to.deep.equal(Array.from({ length: 57 }, (_, index) => 2_000 + 500 * index));
    for (const ms of told.slice(57)) expect(ms).to.be.within(20_000, 30_000);
    expect(new Set(told.slice(57)).size).to.be.above(30);
    pass(25_000);
    expect(give("source 99")).to.equal(2_000 + 500 * 99 - 25_000);
  });

  it("is waited for from a moment before that time until five seconds after it", () => {
    const { give, expected } = book();
    expect([give("a"), give("b")]).to.deep.equal([2_000, 2_500]);
    pass(1_899);
    expect([expected("x"), expected("x", 1), expected("x", 3)]).to.deep.equal([0, 1, 2]);
    pass(1);
    expect([expected("x"), expected("x", 3), expected("a", 3), expected("b")]).to.deep.equal([1, 2, 0, 1]);
    pass(500);
    expect([expected("x"), expected("a"), expected("b")]).to.deep.equal([2, 0, 0]);
    pass(4_599);
    expect(expected("x")).to.equal(2);
    pass(1);
    expect([expected("x"), expected("a")]).to.deep.equal([1, 1]);
    pass(500);
    expect(expected("x")).to.equal(0);
  });

  it("should come back soon when there is still no room at that time, and is waited for no more once there is", () => {
    const { give, expected, meet } = book();
    give("a");
    pass(2_000);
    expect(give("a")).to.equal(1_000);
    meet("a");
    expect(expected("x")).to.equal(0);
    expect(give("a")).to.equal(2_000);
    meet("a");
    pass(2_000);
    expect(expected("x")).to.equal(0);
  });

  it("is remembered as one of ten thousand at most", () => {
    const { give } = book();
    for (let index = 0; index < 10_001; index++) give(`source ${index}`);
    pass(10_000 * 500);
    expect(give("source 9999")).to.equal(1_500);
    expect(give("source 10000")).to.equal(2_000);
  });

  describe("and comes when told to", () => {
    const WORK_MS = 50;
    let admission: Admission;
    beforeEach(() => {
      admission = createAdmission({ workers: 1, placesEach: 6, firstGuessMs: WORK_MS }, { refused() {} });
    });
    afterEach(() => admission.close());

    /** Signs in once, which takes its time; gives in how many milliseconds to come again, or null. */
    async function signIn(address: string): Promise<number | null> {
      try {
        using place = admission.admit({ ...CALL, address });
        await place.run(async () => ({ value: await sleep(WORK_MS), ms: WORK_MS }));
        return null;
      } catch (error) {
        if (!(error instanceof AuthError) || error.reason !== "OVERLOADED") throw error;
        return error.retryAfterMs ?? null;
      }
    }

    it("has a place, however many hammer on", async () => {
      let isOver = false;
      let refusals = 0;
      const hammerOn = async (_: unknown, person: number) => {
        while (!isOver) {
          if ((await signIn(`192.0.2.${person}`)) === null) continue;
          refusals += 1;
          await sleep(2);
        }
      };
      const others = Promise.all(Array.from({ length: 30 }, hammerOn));
      await sleep(5 * WORK_MS);
      const told = await Promise.all(["198.51.100.1", "198.51.100.2", "198.51.100.3"].map(signIn));
      const comeBack = async (ms: number | null, person: number) => {
        await sleep(ms ?? 0);
        return signIn(`198.51.100.${person + 1}`);
      };
      const outcomes = await Promise.all(told.map(comeBack));
      isOver = true;
      await others;
      expect(outcomes).to.deep.equal([null, null, null]);
      for (const ms of told) expect(ms).to.be.within(1_000, 4_000);
      expect(refusals).to.be.above(1_000);
    }).timeout(20_000);

    const placesFor = (...addresses: string[]) => addresses.map((address) => admission.admit({ ...CALL, address }));
    const giveBack = (places: Disposable[]) => {
      for (const place of places) place[Symbol.dispose]();
    };
    const CROWD = Array.from({ length: 6 }, (_, person) => `192.0.2.${person}`);
    const TOLD = Array.from({ length: 10 }, (_, person) => `198.51.100.${person}`);

    it("keeps at most half of the places from others while not coming", async () => {
      const crowd = placesFor(...CROWD);
      for (const address of TOLD) expect(admission.retryAfter(address)).to.be.above(0);
      giveBack(crowd.slice(1));
      await sleep(1_700);
      const newcomers = placesFor("203.0.113.1", "203.0.113.2");
      expect(admission.retryAfter("203.0.113.3")).to.be.above(0);
      expect(TOLD.map(admission.retryAfter)).to.deep.equal(TOLD.map(() => null));
      giveBack([...newcomers, ...crowd]);
    });

    it("keeps none once nobody else was there", () => {
      const crowd = placesFor(...CROWD);
      for (const address of TOLD) expect(admission.retryAfter(address)).to.be.above(0);
      giveBack(crowd);
      const again = placesFor(...CROWD);
      expect(again).to.have.length(CROWD.length);
      giveBack(again);
    });
  });
});

const CALL: CallContext = {
  signal: new AbortController().signal,
  remainingMs: () => Number.POSITIVE_INFINITY,
  ...{ address: "", addressIsPersons: false, actor: "anyone", concerns: () => {} },
};
