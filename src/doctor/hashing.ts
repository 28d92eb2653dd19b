import { availableParallelism } from "node:os";
import { ownContext } from "../auth/call-context.ts";
import { createHashing } from "../auth/hashing.ts";
import type { Config } from "../config.ts";
import { failed, firstLine, ok, type Verdict, warning } from "./check.ts";

/** How long bcrypt takes on this machine. */
interface HashingSpeed {
  readonly cost: number;
  readonly threads: number;
  readonly ms: number;
  /** With all threads at work. */
  readonly perSecond: number;
}

const LONGEST_MS = 10_000;
const QUICK_COST = 4;
const INPUT = "nobody's password";

/** Measures what a sign-in costs on this machine. */
export async function checkHashing({ bcryptCost }: Config): Promise<Verdict> {
  try {
    return judgeHashing(await measureHashing(bcryptCost));
  } catch (error) {
    return failed(
      `cannot be measured: ${firstLine(error)}`,
      "If this machine is not busy otherwise, lower BCRYPT_COST.",
    );
  }
}

/** Measures hashing as the service does it: in threads of low priority, as many as there are cores. */
async function measureHashing(cost: number): Promise<HashingSpeed> {
  const threads = availableParallelism();
  const hashing = createHashing({ count: threads });
  const context = ownContext(LONGEST_MS);
  const hashOnce = async (cost: number) => {
    using place = hashing.admit(context);
    await place.run({ input: INPUT, cost });
  };
  const timeOf = async (count: number, cost: number) => {
    const begunAt = performance.now();
    await Promise.all(Array.from({ length: count }, () => hashOnce(cost)));
    return performance.now() - begunAt;
  };
  try {
    // Starts the threads.
    await timeOf(threads, QUICK_COST);
    const ms = await timeOf(1, cost);
    return { cost, threads, ms, perSecond: (threads * 1_000) / (await timeOf(threads, cost)) };
  } finally {
    await hashing.close();
  }
}

const TOO_QUICK_MS = 50;
const TOO_SLOW_MS = 1_000;
const AIM_MS = 250;
const LEAST_COST = 10;
const GREATEST_COST = 15;

/** Judges how dear a guess is for who has stolen the hashes, and a sign-in for this machine. */
export function judgeHashing({ cost, threads, ms, perSecond }: HashingSpeed): Verdict {
  const rate = perSecond.toFixed(perSecond < 10 ? 1 : 0);
  const finding = `${Math.round(ms)} ms a hash at cost ${cost}; ${rate} sign-ins a second on ${threads} threads`;
  const wanted = Math.round(cost + Math.log2(AIM_MS / ms));
  const best = Math.min(GREATEST_COST, Math.max(LEAST_COST, wanted));
  const advice = `100 to 500 ms are good; BCRYPT_COST=${best} comes nearest to ${AIM_MS} ms on this machine.`;
  if (ms > TOO_SLOW_MS) return warning(`${finding}: slow`, advice);
  return ms < TOO_QUICK_MS ? warning(`${finding}: quick to guess`, advice) : ok(finding);
}
