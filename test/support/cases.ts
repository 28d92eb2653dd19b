import { inspect } from "node:util";
import { ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { PASSWORD, refusalOf } from "./people.ts";
import { describeRefusal } from "./refusals.ts";
import { SECRET_KEY, type TestService } from "./service.ts";
import { waitUntil } from "./wait.ts";

/** What no answer may hold: stacks, statements, tables, paths, and what the service is made of, with its version. */
export const INSIDE =
  /\bat .+\.[tj]s\b|node_modules|\b(SELECT|INSERT|UPDATE|DELETE)\s|relation "|sequelize|postgres|graphile|grpc-js|connect-node|\/(src|home|tmp|usr|opt|work)\/|\bv?\d+\.\d+\.\d+\b/i;

/** Tables in which attempts are noted and counted, refused ones too. */
const OF_ATTEMPTS = ["audit_events", "throttle"];

/**
 * Carries out bad input or an attack, which gives its answers, and checks what must hold after every one: no row has
 * changed but in the tables that are named, no answer tells of the inside or a secret, nothing went wrong by the log,
 * and the service serves on.
 */
export async function expectHarmless(
  service: TestService,
  attack: () => Promise<readonly unknown[]>,
  changes: readonly string[] = [],
): Promise<void> {
  const before = await snapshot(service);
  const logged = service.lines.length;
  const answers = await attack();
  const after = await snapshot(service);
  for (const [table, rows] of before) {
    if (!changes.includes(table)) expect(after.get(table), table).to.equal(rows);
  }
  expectClean(answers.map(tell));
  expect(service.lines.slice(logged).filter((line) => line.includes('"level":"error"'))).to.deep.equal([]);
  await expectServing(service);
}

function expectClean(answers: readonly string[]): void {
  for (const answer of answers) {
    expect(answer).not.to.match(INSIDE);
    for (const secret of [SECRET_KEY, PASSWORD]) expect(answer).not.to.include(secret);
  }
}

async function expectServing(service: TestService): Promise<void> {
  expect((await fetch(`${service.httpUrl}/readyz`)).status).to.equal(200);
  expect(await refusalOf(service.auth.getMe({}))).to.equal("INVALID_TOKEN");
}

function tell(answer: unknown): string {
  if (answer instanceof ConnectError) return describeRefusal(answer);
  return typeof answer === "string" ? answer : inspect(answer, { depth: 9 });
}

/** Every row of every table but those of attempts, and every job of the queue, once no mail is on its way. */
async function snapshot({ database }: TestService): Promise<Map<string, string>> {
  await waitUntil(async () => (await database.query("SELECT 1 FROM graphile_worker._private_jobs")).length === 0);
  const tables = await database.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
  );
  const kept = tables.map(({ name }) => name).filter((name) => !OF_ATTEMPTS.includes(name));
  const names = [...kept, "graphile_worker._private_jobs"];
  const each = names.map(
    (name) => `SELECT '${name}' AS name, json_agg(t ORDER BY t::text)::text AS rows FROM ${name} t`,
  );
  const found = await database.query<{ name: string; rows: string }>(each.join(" UNION ALL "));
  return new Map(found.map(({ name, rows }) => [name, rows]));
}
