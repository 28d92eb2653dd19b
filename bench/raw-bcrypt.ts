import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import bcrypt from "bcrypt";

// bcrypt and nothing else, in as many threads as there are cores.

/** Operations a second of all threads, and the processor time that each took, in microseconds. */
export interface RawSpeed {
  readonly perSecond: number;
  readonly time: number;
}

/** Runs comparisons of one cost in so many threads, for some seconds. */
export async function measureRaw(cost: number, threads: number, seconds: number): Promise<RawSpeed> {
  const hash = await bcrypt.hash(INPUT, cost);
  const started = Array.from({ length: threads }, () => start({ hash, seconds }));
  const counts = await Promise.all(started);
  return {
    perSecond: counts.reduce((sum, { count, ms }) => sum + (count * 1000) / ms, 0),
    time: counts.reduce((sum, { time }) => sum + time, 0) / counts.reduce((sum, { count }) => sum + count, 0),
  };
}

const INPUT = "somebody's password";

interface Work {
  readonly hash: string;
  readonly seconds: number;
}

interface Done {
  readonly count: number;
  readonly ms: number;
  readonly time: number;
}

function start(work: Work): Promise<Done> {
  const { promise, resolve, reject } = Promise.withResolvers<Done>();
  new Worker(new URL(import.meta.url), { workerData: work }).on("message", resolve).on("error", reject);
  return promise;
}

if (!isMainThread) {
  const { hash, seconds }: Work = workerData;
  bcrypt.compareSync(INPUT, hash);
  const [begun, before] = [performance.now(), process.threadCpuUsage()];
  let count = 0;
  for (; performance.now() - begun < seconds * 1000; count++) bcrypt.compareSync(INPUT, hash);
  const { user, system } = process.threadCpuUsage(before);
  parentPort?.postMessage({ count, ms: performance.now() - begun, time: user + system } satisfies Done);
}
