import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import type { Deadline } from "../src/auth/call-context.ts";
import { AuthError } from "../src/auth/errors.ts";
import { createHashing, type Hashing } from "../src/auth/hashing.ts";
import { hashesOf } from "./support/hashes.ts";
import { waitUntil } from "./support/wait.ts";

const NEVER: Deadline = { signal: new AbortController().signal, remainingMs: () => Number.POSITIVE_INFINITY };
/** Costs some milliseconds, some tens of them, and many seconds. */
const [QUICK, SLOW, ENDLESS] = [4, 11, 20];

describe("the hash threads", () => {
  let hashing: Hashing;
  before(async () => {
    hashing = createHashing(1);
    await hashing.hash("warm up", QUICK, NEVER);
  });
  after(() => hashing.close());

  const within = (ms: number): Deadline => ({ ...NEVER, remainingMs: () => ms });

  it("tell the right password from a wrong one", async () => {
    const hash = await hashing.hash("right", QUICK, NEVER);
    expect(await hashing.compare("right", hash, NEVER)).to.equal(true);
    expect(await hashing.compare("wrong", hash, NEVER)).to.equal(false);
  });

  it("let a bounded number wait and refuse the rest at once, with a time to come back", async () => {
    const order: string[] = [];
    const outcome = (call: Promise<unknown>) => call.then(() => "hashed", reasonFor);
    const reasonFor = (error: AuthError) => {
      expect(error.retryAfterMs).to.be.at.least(1_000);
      return error.reason;
    };
    const seen = await hashesOf(async () => {
      const calls = Array.from({ length: 50 }, () => outcome(hashing.hash("x", 8, NEVER)));
      await Promise.all(calls.map((call) => call.then((result) => order.push(result))));
    });
    expect(seen).to.have.length(33);
    expect(order.slice(0, 17)).to.deep.equal(Array(17).fill("OVERLOADED"));
    expect(order.slice(17)).to.deep.equal(Array(33).fill("hashed"));
    expect(await hashing.hash("x", QUICK, NEVER)).to.match(/^\$2b\$04\$/);
  });

  it("refuse a call that could not end before its deadline, and hash nothing for it", async () => {
    const seen = await hashesOf(async () => {
      expect(await reasonOf(hashing.hash("x", QUICK, within(0.01)))).to.equal("OVERLOADED");
      expect(() => hashing.requireRoom(within(0.01))).to.throw(AuthError, "OVERLOADED");
      expect(() => hashing.requireRoom(within(0))).to.throw(AuthError, "DEADLINE_EXCEEDED");
    });
    expect(seen).to.deep.equal([]);
    expect(() => hashing.requireRoom(within(30_000))).not.to.throw();
  });

  it("count the wait behind others against the deadline", async () => {
    await hashing.hash("x", SLOW, NEVER);
    const waiting = Array.from({ length: 30 }, () => hashing.hash("x", QUICK, NEVER));
    expect(await reasonOf(hashing.hash("x", QUICK, within(50)))).to.equal("OVERLOADED");
    await Promise.all(waiting);
    expect(await reasonOf(hashing.hash("x", QUICK, within(30_000)))).to.equal("");
  });

  it("drop a call that is aborted while it waits, and never hash it", async () => {
    const caller = new AbortController();
    const seen = await hashesOf(async () => {
      const running = hashing.hash("x", SLOW, NEVER);
      const dropped = hashing.hash("x", ENDLESS, { ...NEVER, signal: caller.signal });
      const next = hashing.hash("x", QUICK, NEVER);
      caller.abort(new Error("gone"));
      expect(await dropped.catch((error: Error) => error.message)).to.equal("gone");
      expect(await running).to.match(/^\$2b\$11\$/);
      expect(await next).to.match(/^\$2b\$04\$/);
    });
    expect(seen.map((hash) => hash.hasBegun())).to.deep.equal([true, false, true]);
  });

  it("never take up a call that was aborted before it came", async () => {
    const signal = AbortSignal.abort(new Error("gone"));
    const seen = await hashesOf(async () => {
      const dropped = hashing.hash("x", ENDLESS, { ...NEVER, signal });
      expect(await dropped.catch((error: Error) => error.message)).to.equal("gone");
    });
    expect(seen).to.deep.equal([]);
  });

  it("finish a call that is aborted while it runs, and live on", async () => {
    const caller = new AbortController();
    const before = threadsOf(await hashesOf(() => hashing.hash("x", QUICK, NEVER)));
    const running = await hashesOf(async (begun) => {
      const call = hashing.hash("x", SLOW, { ...NEVER, signal: caller.signal });
      await waitUntil(() => begun.some((hash) => hash.hasBegun()));
      caller.abort();
      expect(await call).to.match(/^\$2b\$11\$/);
      expect(await hashing.hash("x", QUICK, NEVER)).to.match(/^\$2b\$04\$/);
    });
    expect(threadsOf(running)).to.deep.equal(before);
  });

  it("leave the cores to the rest of the process", function () {
    if (process.platform !== "linux") return this.skip();
    const nices = readdirSync("/proc/self/task").map((id) =>
      niceOf(readFileSync(`/proc/self/task/${id}/stat`, "utf8")),
    );
    const ours = niceOf(readFileSync("/proc/self/stat", "utf8"));
    expect(nices.filter((nice) => nice === Math.min(19, ours + 10))).to.have.length.at.least(1);
  });

  function threadsOf(seen: Awaited<ReturnType<typeof hashesOf>>): (number | undefined)[] {
    return (seen[0]?.pool.threads ?? []).map(({ threadId }) => threadId);
  }
});

/** Field 19 of `/proc/<pid>/stat`; the name before it may hold spaces. */
function niceOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "",
    (error) => (error instanceof AuthError ? error.reason : String(error)),
  );
}
