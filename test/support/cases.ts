import { inspect } from "node:util";
import { ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { createOperatorCall } from "../../src/rpc/operator.ts";
import { recordedBy } from "./audit.ts";
import { PASSWORD, refusalOf } from "./people.ts";
import { describeRefusal } from "./refusals.ts";
import { SECRET_KEY, type TestService } from "./service.ts";
import { waitUntil } from "./wait.ts";

/** What no answer may hold: stacks, statements, tables, paths, and what the service is made of, with its version. */
export const INSIDE =
  /\bat .+\.[tj]s\b|node_modules|\b(SELECT|INSERT|UPDATE|DELETE)\s|relation "|sequelize|postgres|graphile|grpc-js|connect-node|\/(src|home|tmp|usr|opt|work)\/|\bv?\d+\.\d+\.\d+\b/i;

/** Tables in which attempts are noted and counted, refused ones too. */
const OF_ATTEMPTS = ["audit_events", "throttle"];

/** How many events there are of each type and reason, as in `token_refused INVALID_TOKEN`. */
export type Recorded = Readonly<Record<string, number>>;

/** Why the audit log has nothing of an attack, and what it has if that comes otherwise. */
interface Unrecorded {
  readonly unrecorded: string;
  readonly unless?: readonly string[];
}

/** What an attack leaves behind: what the audit log has of it, and tables whose rows may change. */
export type Traces = ({ readonly recorded: Recorded } | Unrecorded) & { readonly changes?: readonly string[] };

/**
 * Carries out bad input or an attack, which gives its answers, and checks what must hold after every one: no row has
 * changed but in the tables that are named, the audit log has each refusal with its reason, no answer tells of the
 * inside or a secret, nothing went wrong by the log, and the service serves on.
 */
export async function expectHarmless(
  service: TestService,
  { changes = [], ...traces }: Traces,
  attack: () => Promise<readonly unknown[]>,
): Promise<void> {
  const before = await snapshot(service);
  const logged = service.lines.length;
  let answers: readonly unknown[] = [];
  const recorded = await reasonsOf(service, async () => {
    answers = await attack();
  });
  expectRecorded(recorded, traces);
  const after = await snapshot(service);
  for (const [table, rows] of before) {
    if (!changes.includes(table)) expect(after.get(table), table).to.equal(rows);
  }
  expectClean(answers.map(tell));
  expect(service.lines.slice(logged).filter((line) => line.includes('"level":"error"'))).to.deep.equal([]);
  await expectServing(service);
}

/** What the audit log has of the refusals of a run. */
async function reasonsOf({ app }: TestService, run: () => Promise<void>): Promise<Recorded> {
  const call = createOperatorCall(app.operatorRoutes);
  const admin = { listAuditEvents: (request: object) => call(AdminService.method.listAuditEvents, request) };
  const counts: Record<string, number> = {};
  for (const { type, reason, count = 1 } of await recordedBy({ admin }, {}, run)) {
    if (reason !== undefined) counts[`${type} ${reason}`] = (counts[`${type} ${reason}`] ?? 0) + count;
  }
  return counts;
}

function expectRecorded(recorded: Recorded, traces: Traces): void {
  if ("recorded" in traces) {
    const due = Object.entries(traces.recorded).filter(([, count]) => count > 0);
    expect(recorded).to.deep.equal(Object.fromEntries(due));
  } else {
    const { unrecorded, unless = [] } = traces;
    expect(
      Object.entries(recorded).filter(([event]) => !unless.includes(event)),
      unrecorded,
    ).to.deep.equal([]);
  }
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
