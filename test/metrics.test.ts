import { expect } from "chai";
import { createPrometheus } from "../src/server/prometheus.ts";
import { send } from "./support/http.ts";
import { newPerson, PASSWORD, refusalOf } from "./support/people.ts";
import { findPorts } from "./support/ports.ts";
import { createTestDatabase, type TestDatabase } from "./support/postgres.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { startService } from "./support/service.ts";

describe("metrics", () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let place: { readonly httpUrl: string };
  let settings: Record<string, string>;
  before(async () => {
    database = await createTestDatabase();
    const [port] = await findPorts(1);
    settings = { METRICS_PORT: String(port), EMAIL_CONFIRMATION: "optional", BCRYPT_COST: "12" };
    place = { httpUrl: `http://127.0.0.1:${port}` };
    service = await startProcess(database, settings);
  });
  after(async () => {
    await service.stop();
    await database.drop();
  });

  /** Every sample, by its name with its labels as they are written. */
  async function read(): Promise<ReadonlyMap<string, number>> {
    const { text } = await send(place, "/metrics");
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
  }

  it("count calls by RPC, protocol, code and reason, and tell how long they took", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    await service.auth.signIn({ login: person.username, password: PASSWORD });
    for (const login of [person.username, "nobody"])
      await refusalOf(service.auth.signIn({ login, password: "a wrong one" }));
    await send(service, "/auth/me");
    const samples = await read();
    const calls = [...samples].filter(([name]) => name.startsWith("latchkey_calls_total"));
    const labels = (rpc: string, protocol: string, code: string, reason = "") =>
      `latchkey_calls_total{rpc="auth.v1.AuthService/${rpc}",protocol="${protocol}",code="${code}",reason="${reason}"}`;
    expect(Object.fromEntries(calls)).to.deep.equal({
      [labels("SignUp", "grpc", "ok")]: 1,
      [labels("SignIn", "grpc", "ok")]: 1,
      [labels("SignIn", "grpc", "unauthenticated", "INVALID_CREDENTIALS")]: 2,
      [labels("GetMe", "http", "unauthenticated", "INVALID_TOKEN")]: 1,
    });
    const took = `latchkey_call_duration_seconds_count{rpc="auth.v1.AuthService/SignIn"}`;
    expect(samples.get(took)).to.equal(3);
  });

  it("tell how hashing is getting on, and why calls were not hashed", async () => {
    const before = await read();
    const short = { headers: { "grpc-timeout": "80m" } };
    expect(await refusalOf(service.auth.signIn({ login: "nobody", password: PASSWORD }, short))).to.equal("OVERLOADED");
    await refusalOf(service.auth.signIn({ login: "nobody", password: PASSWORD }));
    const after = await read();
    // What is not there before it happens cannot be seen to rise.
    expect(before.get('latchkey_hash_refusals_total{cause="late"}')).to.equal(0);
    for (const kind of ["wait", "run"]) {
      const name = `latchkey_hash_${kind}_seconds_count`;
      expect(after.get(name), name).to.equal((before.get(name) ?? 0) + 1);
    }
    expect(after.get('latchkey_hash_refusals_total{cause="late"}')).to.equal(1);
    const idle = ["places", "queue_length", "running"].map((name) => after.get(`latchkey_hash_${name}`));
    expect(idle).to.deep.equal([0, 0, 0]);
  });

  it("tell of the database's connections, the outbox and the process", async () => {
    const samples = await read();
    expect(samples.get("latchkey_database_connections_idle")).to.be.at.least(1);
    for (const name of ["database_connections_used", "database_waiting", "stranger_places", "stranger_running"])
      expect(samples.get(`latchkey_${name}`), name).to.equal(0);
    for (const name of ["waiting", "oldest_seconds", "given_up"])
      expect(samples.get(`latchkey_mails_${name}`), name).to.be.at.least(0);
    expect(samples.get('latchkey_audit_events{state="lost"}')).to.equal(0);
    expect(samples.get("process_cpu_seconds_total")).to.be.above(0);
    expect(samples.get("nodejs_eventloop_lag_p99_seconds")).to.be.above(0);
  });

  it("are served to GET and HEAD at one path, as Prometheus reads them, and to no page of another origin", async () => {
    const answer = await send(place, "/metrics?x=1", { headers: { origin: "https://app.example.com" } });
    expect(answer.status).to.equal(200);
    expect(answer.headers.get("content-type")).to.equal("text/plain; version=0.0.4; charset=utf-8");
    expect(answer.headers.get("access-control-allow-origin")).to.equal(null);
    expect(await send(place, "/metrics", { method: "HEAD" })).to.include({ status: 200, text: "" });
    const post = await send(place, "/metrics", { method: "POST", body: "x".repeat(100_000) });
    expect([post.status, post.headers.get("allow")]).to.deep.equal([405, "GET, HEAD"]);
    for (const path of ["/", "/metrics/", "/healthz", "//metrics"])
      expect((await send(place, path)).status, path).to.equal(404);
  });

  it("are done without, with a warning, where the port is in use", async () => {
    const other = await startProcess(database, settings);
    try {
      const warning = other.lines.find((line) => line.includes("no metrics are served"));
      expect(JSON.parse(warning ?? "{}")).to.include({
        level: "warn",
        reason: `METRICS_PORT: port ${settings.METRICS_PORT} of 127.0.0.1 is in use`,
      });
      expect(await refusalOf(other.auth.getMe({}))).to.equal("INVALID_TOKEN");
    } finally {
      await other.stop();
    }
  });

  it("say NaN of the outbox while the database is away, and are answered all the same", async () => {
    await database.query("ALTER TABLE mails RENAME TO elsewhere");
    try {
      expect((await read()).get("latchkey_mails_waiting")).to.deep.equal(Number.NaN);
    } finally {
      await database.query("ALTER TABLE elsewhere RENAME TO mails");
    }
    expect((await read()).get("latchkey_mails_waiting")).to.be.at.least(0);
  });

  it("count what a clean-up has deleted", async () => {
    const metrics = createPrometheus();
    const inProcess = await startService({ database, metrics });
    try {
      await database.query("UPDATE sessions SET expires_at = now() - interval '91 days'");
      await inProcess.app.cleanUp();
    } finally {
      await inProcess.stop();
    }
    const lines = (await metrics.render()).split("\n");
    expect(lines).to.include.members([
      'latchkey_cleaned_up_rows_total{table="sessions"} 2',
      'latchkey_cleaned_up_rows_total{table="keys"} 0',
    ]);
  });
});
