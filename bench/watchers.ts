import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { createTestDatabase, mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import { startProcess } from "../test/support/process.ts";
import { startService } from "../test/support/service.ts";
import { issueKey } from "../test/support/service-keys.ts";
import { waitUntil } from "../test/support/wait.ts";
import { countTold, UUID, watchOverGrpc } from "../test/support/watch-raw.ts";
import { revoke } from "../test/support/watching.ts";

// A thousand watchers on one process: the memory that each takes, and how long it takes to tell all of them of one
// revocation. Then the memory while a hundred of them stop reading and 50,000 revocations happen.

const WATCHERS = 1_000;
const DEAF = 100;
const ROUNDS = 100;
const BURST = 50_000;

await mochaGlobalSetup();
const database = await createTestDatabase();
const issuer = await startService({ database });
const { headers } = (await issueKey(issuer, ["watch"])).options;
await issuer.stop();
const service = await startProcess(database, { LOG_LEVEL: "info" });
const ready = JSON.parse(service.lines.find((line) => line.includes('"ready"')) ?? "{}");
const sessions = Array.from({ length: WATCHERS / 100 }, () => connect(`http://${ready.grpc}`));

await sleep(2_000);
const alone = memory();
const opening = sessions.flatMap((session) => Array.from({ length: 100 }, () => watchOverGrpc(session, headers)));
const watches = await Promise.all(opening);
const told = new Map<string, number>();
for (const { body } of watches) body.on("data", count);
await sleep(2_000);
const watched = memory();
print(`${WATCHERS} watchers take`, `${(watched - alone).toFixed(0)} MB beside ${alone.toFixed(0)} MB`);

const [spread, whole]: [number[], number[]] = [[], []];
for (let round = 0; round < ROUNDS; round++) {
  const [id = ""] = await revoke({ database });
  const committedAt = performance.now();
  await waitUntil(() => told.has(id));
  const firstAt = performance.now();
  await waitUntil(() => told.get(id) === WATCHERS);
  spread.push(performance.now() - firstAt);
  whole.push(performance.now() - committedAt);
  await sleep(Math.random() * 60);
}
print("one revocation, from the first told to the last", percentiles(spread));
print("one revocation, from the commit to the last told", percentiles(whole));

for (const watch of watches.slice(DEAF)) watch.close();
for (const { body } of watches.slice(0, DEAF)) body.off("data", count).pause();
await sleep(1_000);
const before = memory();
let most = before;
const hearing = await watchOverGrpc(connect(`http://${ready.grpc}`), headers);
const heard = countTold(hearing);
for (let batch = 1; batch <= BURST / 500; batch++) {
  await revoke({ database }, 500);
  await waitUntil(() => heard() >= ROUNDS + batch * 500, 60_000);
  most = Math.max(most, memory());
}
print(`${DEAF} that do not read, ${BURST} revocations`, `at most ${(most - before).toFixed(0)} MB more`);

for (const session of sessions) session.destroy();
await service.stop("SIGTERM");
await database.drop();
await mochaGlobalTeardown();
process.exit();

function count(chunk: Buffer): void {
  for (const [id] of chunk.toString("latin1").matchAll(UUID)) told.set(id, (told.get(id) ?? 0) + 1);
}

/** The service's memory, in MB. */
function memory(): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

function percentiles(ms: readonly number[]): string {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (${ms.length} rounds)`;
}

function print(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(52)} ${value}\n`);
}
