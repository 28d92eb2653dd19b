import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { bearer, refusalOf, signIn, signInAdmin, signUpConfirmed } from "../test/support/people.ts";
import { mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import { startProcess } from "../test/support/process.ts";
import { startService } from "../test/support/service.ts";
import { issueKey } from "../test/support/service-keys.ts";
import type { Answer, Order } from "./revocation-verifier.ts";

// From the commit of a block or a sign-out to the first refusal: in the process that committed, in another one, and in a
// verifier in a third one, which watches the second. Each asks about every millisecond, which is part of what is shown.

const ROUNDS = 300;

await mochaGlobalSetup();
const here = await startService();
// Before there is another process that could send their mails.
const admin = await signInAdmin(here);
const person = await signUpConfirmed(here);
const there = await startProcess(here.database, { LOG_LEVEL: "info" });
const child = fork(fileURLToPath(new URL("revocation-verifier.ts", import.meta.url)), {
  stdio: ["ignore", 1, 2, "ipc"],
});
const { key } = await issueKey(here, ["watch"]);
const ready = JSON.parse(there.lines.find((line) => line.includes('"ready"')) ?? "{}");
const { jwtIssuer: issuer, jwtAudience: audience } = here.config;
await ask({ follow: { service: `http://${ready.grpc}`, serviceKey: key, issuer, audience } });
const commits = noteCommits();
const ways = {
  block: () => here.admin.setUserActive({ userId: person.id, isActive: false }, admin.options),
  "sign-out": ({ refreshToken }: { refreshToken: string }) => here.auth.signOut({ refreshToken }),
};
for (const [way, end] of Object.entries(ways)) {
  const taken = { "the same process": [] as number[], "another process": [] as number[], "a verifier": [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    const session = await signIn(here, person);
    const refusedThere = untilRefused(there, session.accessToken);
    await ask({ token: session.accessToken });
    const refusedByVerifier = told();
    await sleep(Math.random() * 60);
    await end(session);
    const committedAt = commits.last();
    // The very first call has to be refused.
    if ((await refusalIn(here, session.accessToken)) !== "INVALID_TOKEN") throw new Error("not refused at once");
    taken["the same process"].push(time() - committedAt);
    taken["another process"].push((await refusedThere) - committedAt);
    const answer = await refusedByVerifier;
    if (typeof answer === "object") taken["a verifier"].push(answer.refusedAt - committedAt);
    if (way === "block") await here.admin.setUserActive({ userId: person.id, isActive: true }, admin.options);
  }
  for (const [where, ms] of Object.entries(taken)) report(`${way}, refused in ${where}`, ms);
}

child.disconnect();
await there.stop("SIGTERM");
await here.stop();
await mochaGlobalTeardown();

async function told(): Promise<Answer> {
  const [answer] = await once(child, "message");
  return answer;
}

async function ask(order: Order): Promise<Answer> {
  child.send(order);
  return told();
}

type Callable = Pick<typeof here, "auth">;

function refusalIn({ auth }: Callable, token: string): Promise<string> {
  return refusalOf(auth.listSessions({}, bearer(token)));
}

async function untilRefused(service: Callable, token: string): Promise<number> {
  while ((await refusalIn(service, token)) === "") await sleep(1);
  return time();
}

function time(): number {
  return performance.timeOrigin + performance.now();
}

/** Notes when this process was told that a revocation is committed. */
function noteCommits(): { last: () => number } {
  let last = 0;
  const query = pg.Client.prototype.query as (this: pg.Client, ...args: unknown[]) => unknown;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const done = args.at(-1);
    if (typeof done !== "function" || !/^COMMIT|INTO revocations/.test(String(args[0]).trim()))
      return query.apply(this, args);
    return query.call(this, ...args.slice(0, -1), (...results: unknown[]) => {
      last = time();
      done(...results);
    });
  } as typeof pg.Client.prototype.query;
  return { last: () => last };
}

function report(what: string, ms: readonly number[]): void {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) =>
    `${(sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN).toFixed(1)} ms`.padStart(9);
  process.stdout.write(`${what.padEnd(44)} p50 ${at(0.5)}   p99 ${at(0.99)}   max ${at(1)}   (${ms.length} rounds)\n`);
}
