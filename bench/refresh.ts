import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { createTestDatabase, mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import { startProcess } from "../test/support/process.ts";
import { findProgram } from "../test/support/programs.ts";
import { waitUntil } from "../test/support/wait.ts";
import { compare, report } from "./compare.ts";
import { createGrpcCaller } from "./grpc-caller.ts";
import { parentOf, timeOf, timeOfFamily } from "./linux-processes.ts";

// RefreshToken against pgbench, which runs the same UPDATE on the same PostgreSQL: by itself, as a driver sends it, or by
// the procedure that the service calls. Counted is the processor time of all that takes part: of PostgreSQL with the
// service, or with pgbench. That of whoever calls the service is not.

const CLIENTS = 8;
const SESSIONS_EACH = 8;
const REFRESHES = 4_000;
const ROUNDS = 7;
// V8 has compiled what is called often after some 15,000 calls; until then they cost half as much again.
const WARM_UP_ROUNDS = 4;
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
const scripts = {
  update: writeScript("update.sql", await readUpdate()),
  call: writeScript(
    "call.sql",
    "CALL refresh_session(session, counter, access_ms, refresh_ms, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
  ),
};

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

/** The UPDATE in the procedure that the service calls. */
async function readUpdate(): Promise<string> {
  const [row] = await database.query<{ source: string }>(
    "SELECT prosrc AS source FROM pg_proc WHERE proname = 'refresh_session'",
  );
  return /UPDATE .*(?= INTO )/s.exec(row?.source.replace(/\s+/g, " ") ?? "")?.[0] ?? "";
}

/** A script of pgbench that runs a statement, with values in place of the procedure's parameters. */
function writeScript(name: string, statement: string): string {
  const values: Readonly<Record<string, string>> = {
    session: "('00000000-0000-4000-8000-00000000' || :session::text)::uuid",
    counter: ":counter::bigint",
    access_ms: String(24 * HOUR),
    refresh_ms: String(720 * HOUR),
  };
  const lines = [
    `\\set session random(0, ${SESSIONS_EACH - 1}) + 1000 + :client_id * ${SESSIONS_EACH}`,
    "\\set counter :counter + 1",
    `${statement.replace(/\b\w+\b/g, (word) => values[word] ?? word)};`,
  ];
  const path = join(folder, name);
  writeFileSync(path, lines.join("\n"));
  return path;
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

async function refreshByPgbench(script: string, mode: "extended" | "prepared"): Promise<void> {
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
const { update, call } = scripts;
for (let turn = 0; turn < WARM_UP_ROUNDS; turn++) await refreshByService();
const [refresh = 0, updated = 0, prepared = 0, called = 0] = await compare(
  [
    { name: "RefreshToken", round: () => timed(withService, refreshByService) },
    { name: "pgbench, UPDATE", round: () => timed(withPgbench, () => refreshByPgbench(update, "extended")) },
    { name: "pgbench, UPDATE, prepared", round: () => timed(withPgbench, () => refreshByPgbench(update, "prepared")) },
    { name: "pgbench, procedure", round: () => timed(withPgbench, () => refreshByPgbench(call, "extended")) },
  ],
  ROUNDS,
);
const [moved] = await database.query<{ rows: number }>(
  "SELECT count(*)::int AS rows FROM sessions WHERE id::text LIKE '00000000-0000-4000-8000-%' AND refresh_counter > 0",
);
if (moved?.rows !== CLIENTS * SESSIONS_EACH) throw new Error("pgbench has refreshed nothing");
report("of pgbench's UPDATE, per core spent", updated / refresh, 0.5);
report("of pgbench's UPDATE, prepared, per core spent", prepared / refresh);
report("of pgbench's procedure, per core spent", called / refresh);

caller.close();
await service.stop("SIGTERM");
rmSync(folder, { recursive: true });
await database.drop();
await mochaGlobalTeardown();
process.exit();
