import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import type { CallContext } from "../src/auth/call-context.ts";
import { AuthError } from "../src/auth/errors.ts";
import type { HashTask } from "../src/auth/hash-worker.ts";
import { createHashing, type Hashing } from "../src/auth/hashing.ts";
import { ANYONE } from "./support/anyone.ts";
import { hashesOf } from "./support/hashes.ts";
import { waitUntil } from "./support/wait.ts";

/** Costs some milliseconds, some tens of them, and many seconds. */
const [QUICK, SLOW, ENDLESS] = [4, 11, 20];

/** Places of one thread. */
const PLACES = 33;

describe("the hash threads", () => {
  let hashing: Hashing;
  beforeEach(async () => {
    hashing = createHashing({ count: 1 });
    await hash("warm up");
  });
  afterEach(() => hashing.close());

  async function run(task: HashTask, context: Partial<CallContext> = {}) {
    using place = hashing.admit({ ...ANYONE, ...context });
    return await place.run(task);
  }

  const hash = (input: string, context: Partial<CallContext> = {}, cost = QUICK) => run({ input, cost }, context);
  const within = (ms: number) => ({ remainingMs: () => ms });
  const from = (address: string) => ({ address });

  it("tell the right password from a wrong one", async () => {
    const hashed = String(await hash("right"));
    expect(hashed).to.match(/^\$2b\$04\$/);
    expect(await run({ input: "right", hash: hashed })).to.equal(true);
    expect(await run({ input: "wrong", hash: hashed })).to.equal(false);
  });

  it("let a bounded number wait and refuse the rest at once, with a time to come back", async () => {
    const order: string[] = [];
    const seen = await hashesOf(async () => {
      const calls = Array.from({ length: 50 }, () => outcomeOf(hash("x", {}, 8)));
      await Promise.all(calls.map((call) => call.then((result) => order.push(result))));
    });
    expect(seen).to.have.length(PLACES);
    expect(order.slice(0, 50 - PLACES)).to.deep.equal(Array(50 - PLACES).fill("OVERLOADED"));
    expect(order.slice(50 - PLACES)).to.deep.equal(Array(PLACES).fill("hashed"));
    expect(await outcomeOf(hash("x"))).to.equal("hashed");
  });

  it("count a call from its arrival, whether it has asked for a hash or not, until it gives its place back", async () => {
    const places = Array.from({ length: PLACES }, () => hashing.admit(ANYONE));
    expect(await outcomeOf(hash("x"))).to.equal("OVERLOADED");
    places[7]?.[Symbol.dispose]();
    expect(await outcomeOf(hash("x"))).to.equal("hashed");
    for (const place of places) place[Symbol.dispose]();
  });

  it("refuse a call that could not end before its deadline, and hash nothing for it", async () => {
    const seen = await hashesOf(async () => {
      expect(await outcomeOf(hash("x", within(0.01)))).to.equal("OVERLOADED");
      expect(await outcomeOf(hash("x", within(0)))).to.equal("DEADLINE_EXCEEDED");
    });
    expect(seen).to.deep.equal([]);
    expect(await outcomeOf(hash("x", within(30_000)))).to.equal("hashed");
  });

  it("count the wait behind others against the deadline, as much of it as there would be in turn", async () => {
    await hash("x", {}, SLOW);
    const waiting = Array.from({ length: 30 }, () => hash("x", from("192.0.2.1")));
    expect(await outcomeOf(hash("x", { ...within(300), ...from("192.0.2.1") }))).to.equal("OVERLOADED");
    expect(await outcomeOf(hash("x", { ...within(30_000), ...from("192.0.2.1") }))).to.equal("hashed");
    await Promise.all(waiting);
  });

  it("count the second operation of a call that will need two", () => {
    expect(() => hashing.admit({ ...ANYONE, ...within(1_000) }, 1_000)).to.throw(AuthError, "OVERLOADED");
    hashing.admit({ ...ANYONE, ...within(1_000) }, 1)[Symbol.dispose]();
  });

  it("drop a call that is aborted while it waits, and never hash it", async () => {
    const caller = new AbortController();
    const seen = await hashesOf(async () => {
      const running = hash("first", {}, SLOW);
      const dropped = hash("dropped", { signal: caller.signal }, ENDLESS);
      const next = hash("next");
      caller.abort(new Error("gone"));
      expect(await outcomeOf(dropped)).to.equal("gone");
      expect(await running).to.match(/^\$2b\$11\$/);
      expect(await next).to.match(/^\$2b\$04\$/);
    });
    expect(inputsOf(seen)).to.deep.equal(["first", "next"]);
  });

  it("drop a call whose time is over when its turn comes", async () => {
    let left = 30_000;
    const seen = await hashesOf(async () => {
      const running = hash("first", {}, SLOW);
      const late = hash("late", { remainingMs: () => left }, ENDLESS);
      left = 0;
      expect(await outcomeOf(late)).to.equal("DEADLINE_EXCEEDED");
      await running;
    });
    expect(inputsOf(seen)).to.deep.equal(["first"]);
  });

  it("never take up a call that was aborted before it came, or before it asked", async () => {
    const caller = new AbortController();
    const seen = await hashesOf(async () => {
      using place = hashing.admit({ ...ANYONE, signal: caller.signal });
      caller.abort(new Error("gone"));
      expect(await outcomeOf(place.run({ input: "x", cost: ENDLESS }))).to.equal("gone");
      expect(await outcomeOf(hash("x", { signal: caller.signal }, ENDLESS))).to.equal("gone");
    });
    expect(seen).to.deep.equal([]);
  });

  it("finish a call that is aborted while it runs, and live on", async () => {
    const caller = new AbortController();
    const before = threadsOf(await hashesOf(() => hash("x")));
    const running = await hashesOf(async (begun) => {
      const call = hash("x", { signal: caller.signal }, SLOW);
      await waitUntil(() => begun.length > 0);
      caller.abort();
      expect(await call).to.match(/^\$2b\$11\$/);
      expect(await hash("x")).to.match(/^\$2b\$04\$/);
    });
    expect(threadsOf(running)).to.deep.equal(before);
  });

  it("serve addresses in turn, an IPv6 network of 64 bits as one", async () => {
    const seen = await hashesOf(async () => {
      const calls = [
        ...["a1", "a2", "a3", "a4"].map((input) => hash(input, from("192.0.2.1"))),
        ...["b1", "b2"].map((input) => hash(input, from("192.0.2.2"))),
        ...["c1", "c2", "c3"].map((input, index) => hash(input, from(`2001:db8:0:7:${index}::1`))),
        hash("d1", from("2001:DB8:0:8::")),
        hash("c4", from("2001:0db8::7:0:0:0:1")),
      ];
      await Promise.all(calls);
    });
    const order = ["a1", "a2", "b1", "c1", "d1", "a3", "b2", "c2", "a4", "c3", "c4"];
    expect(inputsOf(seen)).to.deep.equal(order);
  });

  it("go on with a call that they have begun with before all others, without another place", async () => {
    using place = hashing.admit(ANYONE, 2);
    const seen = await hashesOf(async () => {
      const first = place.run({ input: "first", cost: QUICK });
      const others = Array.from({ length: PLACES - 1 }, () => hash("other"));
      expect(await outcomeOf(hash("x"))).to.equal("OVERLOADED");
      await first;
      await Promise.all([place.run({ input: "second", cost: QUICK }), ...others]);
    });
    expect(inputsOf(seen).slice(0, 4)).to.deep.equal(["first", "other", "second", "other"]);
    expect(seen).to.have.length(PLACES + 1);
  });

  describe("when every place is taken", () => {
    it("let the newest of the longest line give way to who has a shorter one", async () => {
      const crowd = Array.from({ length: PLACES }, (_, index) =>
        outcomeOf(hash(`crowd ${index}`, from("192.0.2.1"), 8)),
      );
      const seen = await hashesOf(async () => {
        const others = ["192.0.2.2", "192.0.2.3", "192.0.2.2"].map((address) =>
          outcomeOf(hash("other", from(address))),
        );
        expect(await Promise.all(others)).to.deep.equal(["hashed", "hashed", "hashed"]);
      });
      expect(inputsOf(seen).slice(0, 5)).to.deep.equal(["crowd 1", "other", "other", "crowd 2", "other"]);
      const outcomes = await Promise.all(crowd);
      expect(outcomes).to.deep.equal([...Array(PLACES - 3).fill("hashed"), ...Array(3).fill("OVERLOADED")]);
    });

    it("send away who has not asked for a hash yet as well, but nobody who was begun with", async () => {
      const places = Array.from({ length: PLACES }, () => hashing.admit({ ...ANYONE, ...from("192.0.2.1") }));
      await Promise.all(places.slice(1).map((place) => place.run({ input: "begun", cost: QUICK })));
      expect(await outcomeOf(hash("x", from("192.0.2.2")))).to.equal("hashed");
      expect(places[0] && (await outcomeOf(places[0].run({ input: "x", cost: QUICK })))).to.equal("OVERLOADED");
      expect(places[1] && (await outcomeOf(places[1].run({ input: "x", cost: QUICK })))).to.equal("hashed");
      places[0] = hashing.admit({ ...ANYONE, ...from("192.0.2.3") });
      expect(await outcomeOf(hash("x", from("192.0.2.2")))).to.equal("OVERLOADED");
      for (const place of places) place[Symbol.dispose]();
    });

    it("refuse who would only take the place of an equal", async () => {
      const calls = Array.from({ length: PLACES }, (_, index) => hash("x", from(`192.0.2.${index}`)));
      expect(await outcomeOf(hash("x", from("198.51.100.1")))).to.equal("OVERLOADED");
      expect(await outcomeOf(hash("x", from("192.0.2.1")))).to.equal("OVERLOADED");
      await Promise.all(calls);
    });
  });

  it("leave the cores to the rest of the process", function () {
    if (process.platform !== "linux") return this.skip();
    const nices = readdirSync("/proc/self/task").map((id) =>
      niceOf(readFileSync(`/proc/self/task/${id}/stat`, "utf8")),
    );
    const ours = niceOf(readFileSync("/proc/self/stat", "utf8"));
    expect(nices.filter((nice) => nice === Math.min(19, ours + 10))).to.have.length.at.least(1);
  });
});

type Seen = Awaited<ReturnType<typeof hashesOf>>;

function inputsOf(seen: Seen): string[] {
  return seen.map(({ task }) => task.input);
}

function threadsOf(seen: Seen): (number | undefined)[] {
  return (seen[0]?.pool.threads ?? []).map(({ threadId }) => threadId);
}

/** Field 19 of `/proc/<pid>/stat`; the name before it may hold spaces. */
function niceOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
}

/** How a call ended; each that is refused as OVERLOADED is told when to come back. */
async function outcomeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "hashed",
    (error: Error) => {
      if (error instanceof AuthError && error.reason === "OVERLOADED")
        expect(error.retryAfterMs).to.be.within(1_000, 60_000);
      return error.message;
    },
  );
}
