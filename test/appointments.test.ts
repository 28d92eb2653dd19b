import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import { type Admission, createAdmission } from "../src/auth/admission.ts";
import { createAppointments } from "../src/auth/appointments.ts";
import { AuthError } from "../src/auth/errors.ts";
import { ANYONE } from "./support/anyone.ts";

describe("who is turned away", () => {
  let time = 100_000;
  const pass = (ms: number) => {
    time += ms;
  };
  const book = () => {
    const { of, give, expected, meet } = createAppointments(() => time);
    return {
      give: (source: string) => Math.round(of(source) ?? give(source, 2_000, 500) ?? Number.NaN),
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

  it("is told to ask again before, within a minute, when it is later than five seconds, and does not lose their turn", () => {
    const { give } = book();
    const told = Array.from({ length: 200 }, (_, index) => give(`source ${index}`));
    expect(told.slice(0, 7)).to.deep.equal([2_000, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000]);
    for (const [index, ms] of told.slice(7).entries()) {
      const laterMs = Math.min(80_000, 5_500 + 500 * index);
      expect(ms).to.be.within(Math.floor(laterMs / 2), Math.ceil(laterMs * 0.75));
    }
    expect(new Set(told.slice(150)).size).to.be.above(25);
    pass(97_000);
    expect(give("source 199")).to.equal(2_000 + 500 * 199 - 97_000);
  });

  it("is one of a hundred of an IPv6 /48 at most, who put others off by no more than that", () => {
    const { give, meet } = book();
    const told = Array.from({ length: 150 }, (_, index) => give(`2001:db8:7:${index.toString(16)}::/64`));
    expect(told.map(Number.isNaN)).to.deep.equal(told.map((_, index) => index >= 100));
    give("192.0.2.1");
    for (const source of ["2001:db8:7:0::/64", "2001:db8:7:0::/64", "2001:db8:7:ffff::/64"]) meet(source);
    expect(give("2001:db8:7:ffff::/64")).to.be.above(0);
    expect(give("2001:db8:7:0::/64")).to.be.NaN;
    pass(48_500);
    expect(give("192.0.2.1")).to.equal(2_000 + 500 * 100 - 48_500);
    expect(give("2001:db8:7:0::/64")).to.be.above(0);
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

  it("is waited for anew when there was no room at that time", () => {
    const { give, expected } = book();
    give("a");
    for (const ms of [2_000, 4_000, 4_000]) {
      pass(ms);
      expect(give("a")).to.equal(1_000);
    }
    pass(5_000);
    expect(expected("x")).to.equal(0);
  });

  it("is told a sooner time when few of those before came, and a later one when all do again", () => {
    const { give, expected, meet } = book();
    const apart = (name: string) => -give(`${name} 1`) + give(`${name} 2`);
    expect(apart("first")).to.equal(500);
    for (let index = 0; index < 100; index++) give(`absent ${index}`);
    pass(60_000);
    expect(apart("second")).to.be.within(50, 80);
    for (let index = 0; index < 100; index++) {
      pass(give(`punctual ${index}`));
      expect(expected(`punctual ${index}`)).to.equal(0);
      meet(`punctual ${index}`);
    }
    expect(apart("third")).to.be.within(400, 480);
  });

  it("is remembered as one of ten thousand at most", () => {
    const { give } = book();
    for (let index = 0; index < 10_001; index++) give(`source ${index}`);
    pass(10_000 * 500);
    expect(give("source 9999")).to.equal(1_500);
    expect(give("source 10000")).to.equal(2_000);
  });

  describe("and comes when told to", () => {
    const PLACES = 6;
    const WORK_MS = 50;
    let admission: Admission;
    let due: (() => void)[];
    beforeEach(() => {
      due = [];
      const capacity = { workers: 1, placesEach: PLACES, firstGuessMs: WORK_MS };
      admission = createAdmission(capacity, { refused() {} }, () => time);
    });

    /** Ends when so much of the test's own time has passed. */
    const passed = (ms: number) => {
      const end = time + ms;
      const { promise, resolve } = Promise.withResolvers<void>();
      const wait = () => (time < end ? due.push(wait) : resolve());
      wait();
      return promise;
    };

    /** Lets the time pass until it is done. */
    async function until(done: Promise<unknown>) {
      let isOver = false;
      const end = done.finally(() => {
        isOver = true;
      });
      while (!isOver) {
        pass(1);
        for (const wait of due.splice(0)) wait();
        await setImmediate();
      }
      await end;
    }

    /** Does its work, which takes its time, and gives null; or in how many milliseconds it is to come again. */
    async function call(address: string, hasMs = Number.POSITIVE_INFINITY): Promise<number | null> {
      const end = time + hasMs;
      try {
        using place = admission.admit({ ...ANYONE, address, remainingMs: () => end - time });
        await place.run(async () => ({ value: await passed(WORK_MS), ms: WORK_MS }));
        return null;
      } catch (error) {
        if (!(error instanceof AuthError) || error.reason !== "OVERLOADED") throw error;
        return error.retryAfterMs ?? null;
      }
    }

    async function comeWhileOthersHammerOn(hasMs: number) {
      let isOver = false;
      const hammerOn = async (address: string) => {
        let refusals = 0;
        for (; !isOver; refusals += 1) if ((await call(address, hasMs)) !== null) await passed(2);
        return refusals;
      };
      const hammering = Promise.all(addresses(40, "192.0.2").map(hammerOn));
      await until(passed(500));
      const comeBack = async (address: string, turn: number) => {
        await passed(100 * turn);
        const told = await call(address, hasMs);
        await passed(told ?? 0);
        return { told, atLast: await call(address, hasMs) };
      };
      const comingBack = Promise.all(addresses(20, "198.51.100").map(comeBack));
      await until(comingBack);
      isOver = true;
      await until(hammering);
      const outcomes = await comingBack;
      for (const { told } of outcomes) expect(told).to.be.within(1_000, 5_000);
      expect(outcomes.map(({ atLast }) => atLast)).to.deep.equal(Array(20).fill(null));
      for (const refusals of await hammering) expect(refusals).to.be.above(500);
    }

    it("has a place, however many hammer on", () => comeWhileOthersHammerOn(Number.POSITIVE_INFINITY));

    // The whole line takes 350 ms, half of it 250, and of theirs 252 may be planned for.
    it("has a place in time where none has time for the whole line", () => comeWhileOthersHammerOn(280));

    const retryAfter = (address: string) => admission.retryAfter(address, Number.POSITIVE_INFINITY);
    const placesFor = (sources: readonly string[]) => sources.map((address) => admission.admit({ ...ANYONE, address }));
    const giveBack = (places: readonly Disposable[]) => {
      for (const place of places) place[Symbol.dispose]();
    };
    const [CROWD, TOLD] = [addresses(PLACES, "192.0.2"), addresses(10, "198.51.100")];

    it("keeps at most half of the places from others while not coming", () => {
      const crowd = placesFor(CROWD);
      for (const address of TOLD) expect(retryAfter(address)).to.be.above(0);
      giveBack(crowd.slice(1));
      pass(2_000);
      const newcomers = placesFor(["203.0.113.1", "203.0.113.2"]);
      expect(retryAfter("203.0.113.3")).to.be.above(0);
      expect(TOLD.map(retryAfter)).to.deep.equal(TOLD.map(() => null));
      giveBack([...newcomers, ...crowd]);
    });

    it("leaves the place before theirs to an address that has none, who need displace nobody then", () => {
      const crowd = placesFor(CROWD);
      expect(retryAfter("198.51.100.1")).to.be.above(0);
      giveBack(crowd.slice(3));
      const crowded = placesFor(["203.0.113.1"]);
      expect(retryAfter("203.0.113.1")).to.be.above(0);
      const newcomer = placesFor(["203.0.113.2"]);
      expect(admission.load().places).to.equal(5);
      giveBack([...crowd, ...crowded, ...newcomer]);
    });

    it("keeps none once nobody else was there", () => {
      const crowd = placesFor(CROWD);
      for (const address of TOLD) expect(retryAfter(address)).to.be.above(0);
      giveBack(crowd);
      const again = placesFor(CROWD);
      expect(again).to.have.length(PLACES);
      giveBack(again);
    });
  });
});

function addresses(count: number, network: string): string[] {
  return Array.from({ length: count }, (_, index) => `${network}.${index}`);
}
