import { expect } from "chai";
import { type Admission, createAdmission } from "../src/auth/admission.ts";
import { AuthError } from "../src/auth/errors.ts";
import { ANYONE } from "./support/anyone.ts";

const FIRST_GUESS_MS = 100;

describe("a place", () => {
  let time = 0;
  let refused: string[];
  let admission: Admission;
  beforeEach(() => {
    refused = [];
    const capacity = { workers: 1, placesEach: 10, firstGuessMs: FIRST_GUESS_MS };
    admission = createAdmission(capacity, { refused: (why) => refused.push(why) }, () => time);
  });

  const within = (ms: number) => {
    const end = time + ms;
    return { ...ANYONE, remainingMs: () => end - time };
  };
  const admit = (ms: number) => admission.admit(within(ms));
  const took = (ms: number) => async () => ({ value: "done", ms });
  const reasonOf = (error: unknown) => (error instanceof AuthError ? error.reason : String(error));

  it("is not for a call that has only just the time for what is to be expected", () => {
    expect(() => admit(FIRST_GUESS_MS)).to.throw(AuthError, "OVERLOADED");
    expect(refused).to.deep.equal(["late"]);
    admit(FIRST_GUESS_MS / 0.8)[Symbol.dispose]();
  });

  it("is refused at the door to a call whose turn would come too late, but for one that is too late by itself", () => {
    expect(admission.retryAfter("", FIRST_GUESS_MS / 2)).to.equal(null);
    using _place = admit(10_000);
    expect(admission.retryAfter("", FIRST_GUESS_MS)).to.be.at.least(1_000);
    expect(admission.retryAfter("", 10_000)).to.equal(null);
    expect(refused).to.deep.equal(["late"]);
  });

  it("is given up when its turn comes and there is no time for what is to be expected any more", async () => {
    const { promise: running, resolve: end } = Promise.withResolvers<void>();
    using before = admit(10_000);
    using late = admit(500);
    using next = admit(1_000);
    const first = before.run(() => running.then(took(FIRST_GUESS_MS)));
    const others = [late, next].map((place) => place.run(took(FIRST_GUESS_MS)).catch(reasonOf));
    time += 450;
    end();
    expect(await Promise.all([first, ...others])).to.deep.equal(["done", "OVERLOADED", "done"]);
    expect(refused).to.deep.equal(["late"]);
  });

  it("is to be had again when what was learnt is old, and nobody is there to learn from", async () => {
    const place = admit(10_000);
    await place.run(took(60_000));
    place[Symbol.dispose]();
    for (const ms of [1_000, 9_000]) {
      time += ms;
      expect(() => admit(1_000)).to.throw(AuthError, "OVERLOADED");
    }
    time += 1;
    expect(() => admit(FIRST_GUESS_MS)).to.throw(AuthError, "OVERLOADED");
    admit(1_000)[Symbol.dispose]();
  });
});
