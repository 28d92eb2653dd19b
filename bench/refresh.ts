import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import type { Scope } from "../src/db/scope.ts";
import { createSessionStore } from "../src/db/sessions.ts";
import { createTestDatabase, mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import { startProcess } from "../test/support/process.ts";
import { findProgram } from "../test/support/programs.ts";
import { waitUntil } from "../test/support/wait.ts";
import { compare, report } from "./compare.ts";
import { createGrpcCaller } from "./grpc-caller.ts";
import { parentOf, timeOf, timeOfFamily } from "./linux-processes.ts";

// RefreshToken against pgbench, which runs the same UPDATE on the same PostgreSQL. Counted is the processor time of all
// that takes part: of PostgreSQL with the service, or with pgbench. That of whoever calls the service is not.

const CLIENTS = 8;
const SESSIONS_EACH = 8;
const REFRESHES = 4_000;
const ROUNDS = 7;
const HOUR = 3_600_000;

const pgbench = findProgram("pgbench");
if (!pgbench) throw new Error("pgbench is not installed: Debian has it in postgresql-contrib");

await mochaGlobalSetup();
const database = await createTestDatabase();
const folder = mkdtempSync(join(tmpdir(), "latchkey-bench-"));
const service = await startProcess(database, { EMAIL_CONFIRMATION: "optional" });
const caller = createGrpcCaller(new URL(service.grpcUrl).host);
const [backend] = await database.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
const postgres = parentOf(backend?.pid ?? 0);
const refreshTokens = await signInOften();
await insertSessions();
const script = join(folder, "refresh.sql");
writeFileSync(script, await pgbenchScript());

async function signInOften(): Promise<string[]> {
  const person = { username: "ada", email: "ada@example.com", password: "correct horse battery" };
  await service.auth.signUp(person);
  const tokens = [];
  for (let session = 0; session < CLIENTS * SESSIONS_EACH; session++) {
    const answer = await service.auth.signIn({ login: person.username, password: person.password });
    tokens.push(answer.tokens?.refreshToken ?? "");
  }
  return tokens;
}

/** Sessions for pgbench, with ids that it can make. */
async function insertSessions(): Promise<void> {
  await database.query(
    `INSERT INTO sessions (id, user_id, rotates, idle_expires_at, expires_at, access_expires_at)
     SELECT ('00000000-0000-4000-8000-00000000' || n)::uuid, (SELECT id FROM users), true, later, later, later
     FROM generate_series(1000, 999 + ${CLIENTS * SESSIONS_EACH}) n, (SELECT now() + interval '30 days' AS later) t`,
  );
}

/** The statement that the service sends, with what pgbench puts in its parameters' places. */
async function pgbenchScript(): Promise<string> {
  let statement = "";
  const query = async (sql: string) => {
    statement = sql;
    return [];
  };
  const lifetimes = { accessTokenTtl: 24 * HOUR, refreshTokenTtl: 720 * HOUR, sessionMaxAge: 4320 * HOUR };
  await createSessionStore({ query } as unknown as Scope).refresh("", 0n, lifetimes);
  const values: Readonly<Record<string, string>> = {
    $1: "('00000000-0000-4000-8000-00000000' || :session::text)::uuid",
    $2: String(lifetimes.accessTokenTtl),
    $3: ":counter",
    $4: String(lifetimes.refreshTokenTtl),
  };
  return [
    `\\set session random(0, ${SESSIONS_EACH - 1}) + 1000 + :client_id * ${SESSIONS_EACH}`,
    "\\set counter :counter + 1",
    `${statement.replaceAll("\n", " ").replace(/\$\d/g, (name) => values[name] ?? name)};`,
  ].join("\n");
}

/** Gives the time for each refresh. */
async function timed(spent: () => number, refreshAll: () => Promise<void>): Promise<number> {
  const begun = spent();
  await refreshAll();
  return (spent() - begun) / REFRESHES;
}

async function refreshByService(): Promise<void> {
  const perClient = REFRESHES / CLIENTS;
  const refreshSome = async (_: unknown, client: number) => {
    for (let turn = 0; turn < perClient; turn++) {
      const index = client * SESSIONS_EACH + (turn % SESSIONS_EACH);
      const refreshToken = refreshTokens[index] ?? "";
      const { tokens } = await caller.call(AuthService.method.refreshToken, { refreshToken });
      refreshTokens[index] = tokens?.refreshToken ?? "";
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, refreshSome));
}

const BACKENDS_OF_PGBENCH = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pgbench'";
let round = 0;

async function refreshByPgbench(mode: "extended" | "prepared"): Promise<void> {
  const { host, port, user, password = "", database: name } = database.connection;
  const counter = ++round * REFRESHES;
  const args = [
    ...["--no-vacuum", "--protocol", mode, "--file", script, "--define", `counter=${counter}`],
    ...["--client", String(CLIENTS), "--transactions", String(REFRESHES / CLIENTS)],
    ...["--host", host, "--port", String(port), "--username", user, name],
  ];
  const { stdout } = await promisify(execFile)(pgbench ?? "", args, { env: { ...process.env, PGPASSWORD: password } });
  if (!stdout.includes(`processed: ${REFRESHES}/${REFRESHES}`)) throw new Error(stdout);
  // What its backends have used is their parent's once they are gone.
  await waitUntil(async () => (await database.query(BACKENDS_OF_PGBENCH)).length === 0);
}

// Of the children of this process only pgbench ends meanwhile.
const withService = () => timeOfFamily(postgres) + timeOf(service.pid);
const withPgbench = () => timeOfFamily(postgres) + timeOf(process.pid) - ownTime();
const ownTime = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const [refresh = 0, extended = 0, prepared = 0] = await compare(
  [
    { name: "RefreshToken", round: () => timed(withService, refreshByService) },
    { name: "pgbench, as the driver does", round: () => timed(withPgbench, () => refreshByPgbench("extended")) },
    { name: "pgbench, prepared once", round: () => timed(withPgbench, () => refreshByPgbench("prepared")) },
  ],
  ROUNDS,
);
const [moved] = await database.query<{ rows: number }>(
  "SELECT count(*)::int AS rows FROM sessions WHERE id::text LIKE '00000000-0000-4000-8000-%' AND refresh_counter > 0",
);
if (moved?.rows !== CLIENTS * SESSIONS_EACH) throw new Error("pgbench has refreshed nothing");
report("of pgbench, as the driver does, per core spent", extended / refresh, 0.5);
report("of pgbench, prepared once, per core spent", prepared / refresh);

caller.close();
await service.stop("SIGTERM");
rmSync(folder, { recursive: true });
await database.drop();
await mochaGlobalTeardown();
process.exit();
