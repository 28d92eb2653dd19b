import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { createTestDatabase, mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import type { FloodOrder, FloodReport } from "./flood-clients.ts";
import { printCalls, printEnds, printMemory, printShares, printSignIns, type Spent } from "./flood-figures.ts";
import type { OthersOrder, OthersReport } from "./flood-others.ts";
import type { ServerAnswer } from "./flood-server.ts";
import { createGrpcCaller } from "./grpc-caller.ts";
import { memoryOf, parentOf, timeOf, timeOfFamily, timeOfLowThreads, timeOfMachine } from "./linux-processes.ts";
import { measureRaw } from "./raw-bcrypt.ts";

// Five times as many sign-ins as the machine can hash, from many addresses, beside calls of other kinds at a fixed rate:
// how many sign-ins succeed, measured against bcrypt alone on the same cores, and how long the other calls take,
// measured against the same calls without the flood. Once with people who come back when they are told to, once with
// people who hammer on at once, once with as many who guess at one account's password under its limits, and once with
// hashes on libuv's threads.
//
// The clients take processor time as well, which elsewhere would be other machines': it is counted, and so is that of
// other programs on this machine.

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    cost: { type: "string", default: "12" },
    deadline: { type: "string", default: "30" },
    only: { type: "string", multiple: true, default: ["comeback", "hammer", "guess", "libuv"] },
  },
});
const SECONDS = Number(values.seconds);
const COST = Number(values.cost);
const CORES = availableParallelism();
const RAW_SECONDS = Math.min(10, SECONDS / 4);
const IDLE_SECONDS = SECONDS / 2;
const FLOOD = 5;
const OTHERS_PER_SECOND = 20;
const PEOPLE = 500;
const SESSIONS = 32;
const PASSWORD = "correct horse battery";
const RIGHT = { people: Array.from({ length: PEOPLE }, (_, person) => `person${person}`), password: PASSWORD };
const WRONG = { people: [`person${PEOPLE - 1}`], password: "incorrect horse battery" };

await mochaGlobalSetup();
const database = await createTestDatabase();
const [backend] = await database.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
const postgres = parentOf(backend?.pid ?? 0);

/** Another process of this bench, which answers each order once. */
function startChild<Order extends object, Answer>(file: string, args: readonly string[] = []) {
  const child: ChildProcess = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    stdio: ["ignore", 1, 2, "ipc"],
  });
  const ended = new AbortController();
  child.once("exit", () => ended.abort(new Error(`${file} has ended`)));
  const told = async (): Promise<Answer> => (await once(child, "message", { signal: ended.signal }))[0];
  return {
    pid: child.pid ?? 0,
    told,
    ask(order: Order): Promise<Answer> {
      child.send(order);
      return told();
    },
    async stop() {
      child.disconnect();
      await once(child, "exit");
    },
  };
}

async function startService(hashing: "threads" | "libuv", rateLimits: "on" | "off") {
  const args = [database.url, String(COST), hashing, rateLimits];
  const service = startChild<object, ServerAnswer>("flood-server.ts", args);
  const { ready } = await service.told();
  if (!ready) throw new Error("the service is not ready");
  return { ...service, ...ready, hashing };
}

type Service = Awaited<ReturnType<typeof startService>>;

/** One person who has signed up, and hundreds of the same password; gives the tokens of some sessions. */
async function setUp({ grpcPort }: Service) {
  const caller = createGrpcCaller(`127.0.0.1:${grpcPort}`);
  const { signUp, signIn } = AuthService.method;
  await caller.call(signUp, { username: "person0", email: "person0@example.com", password: PASSWORD });
  await database.query(
    `INSERT INTO users (username, username_key, email, email_key, password_hash)
     SELECT 'person' || n, 'person' || n, 'person' || n || '@example.com', 'person' || n || '@example.com', password_hash
     FROM users, generate_series(1, ${PEOPLE - 1}) n`,
  );
  await database.query("ANALYZE");
  const answers = [];
  for (let person = 0; person < SESSIONS; person++)
    answers.push(await caller.call(signIn, { login: `person${person}`, password: PASSWORD }));
  caller.close();
  return {
    accessTokens: answers.map(({ tokens }) => tokens?.accessToken ?? ""),
    refreshTokens: answers.map(({ tokens }) => tokens?.refreshToken ?? ""),
  };
}

/** What everybody has spent until now, in microseconds of processor time. */
function spentBy(service: Service): Spent {
  return {
    at: performance.now(),
    hashing: timeOfLowThreads(service.pid),
    service: timeOf(service.pid),
    postgres: timeOfFamily(postgres),
    machine: timeOfMachine(),
  };
}

/** The other calls, and the processor time that service and database take for them. */
async function callOthers(service: Service, seconds: number, tokens: Partial<Tokens>) {
  const { grpcPort, httpPort, key } = service;
  const order = { grpcPort, httpPort, key, seconds, perSecond: OTHERS_PER_SECOND, accessTokens, ...tokens };
  const before = spentBy(service);
  const { calls, time } = await others.ask(order);
  return { calls, time, before, after: spentBy(service) };
}

type Tokens = Awaited<ReturnType<typeof setUp>>;

/** Floods a service while the other calls go on, and prints what became of both. */
async function flood(
  title: string,
  service: Service,
  manner: FloodOrder["manner"],
  credentials: Pick<FloodOrder, "people" | "password"> = RIGHT,
): Promise<void> {
  const before = await callOthers(service, IDLE_SECONDS, {});
  await service.ask({});
  const memory: number[] = [];
  const watch = setInterval(() => memory.push(memoryOf(service.pid)), 1000);
  const order = { port: service.grpcPort, seconds: SECONDS, deadline: `${values.deadline}S`, ...credentials, manner };
  const [seen, during] = await Promise.all([floodClients.ask(order), callOthers(service, SECONDS, {})]);
  clearInterval(watch);
  const { ends = {} } = await service.ask({});
  // What is still waiting would disturb what comes next.
  await sleep(COST > 10 ? 15_000 : 5_000);
  // On libuv's threads, hashes that nobody waits for any more go on for minutes.
  const after = service.hashing === "libuv" ? before : await callOthers(service, IDLE_SECONDS, {});
  process.stdout.write(`\n${title}\n`);
  printSignIns(seen, SECONDS);
  printShares(seen, { cores: CORES, raw, idle: [before, after], during });
  printCalls(before.calls, during.calls);
  printMemory(memory);
  printEnds(ends);
}

const raw = await measureRaw(COST, CORES, RAW_SECONDS);
const others = startChild<OthersOrder, OthersReport>("flood-others.ts");
const floodClients = startChild<FloodOrder, FloodReport>("flood-clients.ts");
const perSecond = FLOOD * raw.perSecond;
const hammering = FLOOD * 33 * CORES;
let service = await startService("threads", "off");
const { accessTokens, refreshTokens } = await setUp(service);
await callOthers(service, 3, { refreshTokens });
const each = perSecond.toFixed(0);
if (values.only.includes("comeback"))
  await flood(`${each} sign-ins begin each second; who is refused comes back when told to`, service, { perSecond });
if (values.only.includes("hammer"))
  await flood(`${hammering} people at once; who is refused hammers on`, service, { hammering });
await service.stop();
if (values.only.includes("guess")) {
  service = await startService("threads", "on");
  await flood(`${hammering} people guess at one account and hammer on`, service, { hammering }, WRONG);
  await service.stop();
}
if (values.only.includes("libuv")) {
  service = await startService("libuv", "off");
  await flood(`${each} sign-ins begin each second; hashes on libuv's threads`, service, { perSecond });
  await service.stop();
}
const rawAfter = await measureRaw(COST, CORES, RAW_SECONDS);
process.stdout.write(
  `\nbcrypt alone: ${raw.perSecond.toFixed(2)}/s before, ${rawAfter.perSecond.toFixed(2)}/s after\n`,
);

await others.stop();
await floodClients.stop();
await database.drop();
await mochaGlobalTeardown();
process.exit();
