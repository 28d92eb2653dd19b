import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect } from "chai";
import { parseConfig } from "../src/config.ts";
import { judgeHashing } from "../src/doctor/hashing.ts";
import { readSettings } from "../src/doctor/settings.ts";
import { createLog } from "../src/log.ts";
import { startMetricsListener } from "../src/server/metrics-listener.ts";
import { createPrometheus } from "../src/server/prometheus.ts";
import { createAuthority, createTlsFolder, inDays } from "./support/certificates.ts";
import { runSource } from "./support/commands.ts";
import { examine, type Found, type Settings, settingsOn } from "./support/doctor.ts";
import { startService, type TestService } from "./support/service.ts";

const NAMES = [
  ...["settings", "database", "clock", "migrations", "keys", "smtp", "outbox", "tls", "grpc-port", "http-port"],
  ...["metrics-port", "hashing"],
];
// Nobody listens there.
const DEAD_SMTP = "smtp://127.0.0.1:1";

describe("the doctor", () => {
  let service: TestService;
  let settings: Settings;
  before(async () => {
    service = await startService();
    settings = settingsOn(service.database);
  });
  after(() => service.stop());

  const doctor = (env: Settings, ...args: string[]) => runSource("cli.ts", ["doctor", ...args], { env });

  it("finds nothing to mend where all is well, and exits with 0", async () => {
    const { code, stdout, stderr } = await doctor(settings);
    expect([code, stderr]).to.deep.equal([0, ""]);
    const rows = stdout.split("\n").map((line) => line.split(/ {2,}/));
    const sound = NAMES.slice(0, -1).map((name) => ["ok", name]);
    expect(rows.slice(0, sound.length).map((row) => row.slice(0, 2))).to.deep.equal(sound);
    expect(stdout).to.match(/^\S+ +database +.+: PostgreSQL \d+.*, UTF8, [\d.]+ ms away, \d+ connections$/m);
    expect(stdout).to.match(/^\S+ +clock +\d+ ms (behind|ahead of) the database's$/m);
    expect(stdout).to.match(/^\S+ +hashing +\d+ ms a hash at cost 10; [\d.]+ sign-ins a second on \d+ threads/m);
    expect(stdout).to.match(/\n\n12 checks: [^\n]+\n$/);
  });

  it("gives its report as JSON on one line, with advice where there is something to mend, and exits with 1", async () => {
    const { code, stdout, stderr } = await doctor({ ...settings, SMTP_URL: DEAD_SMTP }, "--json");
    expect([code, stderr]).to.deep.equal([1, ""]);
    expect(stdout.match(/\n/g)).to.have.lengthOf(1);
    const { ok, checks, ...rest }: { ok: boolean; checks: Found[] } = JSON.parse(stdout);
    expect([ok, rest]).to.deep.equal([false, {}]);
    expect(checks.map(({ name }) => name)).to.deep.equal(NAMES);
    for (const { status, advice, ...check } of checks) {
      expect(Object.keys(check)).to.deep.equal(["name", "finding"]);
      expect(check.finding).to.match(/^\S.*\S$/);
      expect(status).to.be.oneOf(["ok", "warning", "failed"]);
      expect((advice ?? []).length > 0, check.name).to.equal(status !== "ok");
    }
    expect(checks.filter(({ status }) => status === "failed").map(({ name }) => name)).to.deep.equal(["smtp"]);
  });

  it("answers wrong usage with 2", async () => {
    const { code, stdout } = await doctor(settings, "now");
    expect([code, stdout]).to.deep.equal([2, ""]);
  });

  it("names every faulty setting with what is wrong about it, and leaves out what needs them", async () => {
    const canaries = { SECRET_KEY: "canary", HTTP_PORT: "canary", SMTP_URL: "canary" };
    const { code, stdout } = await doctor({ ...settings, ...canaries });
    expect(code).to.equal(1);
    expect(stdout).to.match(/^failed +settings +at fault: HTTP_PORT, SECRET_KEY, SMTP_URL$/m);
    expect(stdout).to.match(/^ +-> SECRET_KEY must be at least 32 bytes$/m);
    expect(stdout.match(/^skipped +\S+ +the settings are at fault$/gm)).to.have.lengthOf(NAMES.length - 1);
    expect(stdout).to.not.include("canary");
  });

  it("advises production against what the settings allow and are not good for it", () => {
    const advised = (changes: Settings) => {
      const { verdict } = readSettings(() => parseConfig({ ...production, ...changes }));
      return verdict.advice?.map((line) => line.split(" ", 1)[0]) ?? [];
    };
    const production = {
      ...settings,
      ...{ NODE_ENV: "production", SMTP_URL: DEAD_SMTP, PUBLIC_URL: "https://auth.example.com" },
      ...{ ACCESS_TOKEN_TTL: "15m", BCRYPT_COST: "12" },
    };
    expect(advised({})).to.deep.equal([]);
    expect(advised({ ACCESS_TOKEN_TTL: "24h", BCRYPT_COST: "10" })).to.deep.equal(["ACCESS_TOKEN_TTL", "BCRYPT_COST"]);
    expect(advised({ SECRET_KEY: "12345678".repeat(8), PUBLIC_URL: "https://localhost" })).to.deep.equal([
      ...["SECRET_KEY", "PUBLIC_URL"],
    ]);
    expect(advised({ DATABASE_URL: "postgres://u:p@db.example.com/x" })).to.deep.equal(["DATABASE_URL"]);
    expect(advised({ DATABASE_URL: "postgres://u:p@db.example.com/x?sslmode=verify-full" })).to.deep.equal([]);
    expect(advised({ DEBUG: "true", LOG_LEVEL: "silent" })).to.deep.equal(["DEBUG", "LOG_LEVEL"]);
  });

  it("warns where others could read the development mailbox", () => {
    const statusOf = (changes: Settings) => readSettings(() => parseConfig({ ...settings, ...changes })).verdict.status;
    expect(statusOf({})).to.equal("ok");
    for (const open of [{ HOST: "0.0.0.0" }, { PUBLIC_URL: "https://auth.example.com" }] as Settings[]) {
      expect(statusOf(open)).to.equal("warning");
      expect(statusOf({ ...open, SMTP_URL: DEAD_SMTP })).to.equal("ok");
    }
  });

  it("advises the cost that suits the machine, where the one that is set does not", () => {
    const speed = { cost: 12, threads: 2, perSecond: 8 };
    expect(judgeHashing({ ...speed, ms: 240 })).to.include({ status: "ok" });
    const slow = judgeHashing({ ...speed, ms: 2_100 });
    const quick = judgeHashing({ ...speed, ms: 30 });
    expect([slow.status, quick.status]).to.deep.equal(["warning", "warning"]);
    expect(slow.advice?.join()).to.include("BCRYPT_COST=10 ");
    expect(quick.advice?.join()).to.include("BCRYPT_COST=15 ");
  });

  it("tells ports that this service has from those that another program is on", async () => {
    const portOf = (url: string) => new URL(url).port;
    const ours = { GRPC_PORT: portOf(service.grpcUrl), HTTP_PORT: portOf(service.httpUrl) };
    const running = await examine({ ...settings, ...ours });
    for (const name of ["grpc-port", "http-port"])
      expect(running[name]).to.include({ status: "ok" }).and.have.property("finding").that.include("running Latchkey");

    const stranger = createServer((socket) => socket.on("error", () => {}).end("go away\r\n")).listen(0, "127.0.0.1");
    await once(stranger, "listening");
    const port = String((stranger.address() as AddressInfo).port);
    const [grpc, http, figures] = await Promise.all(
      [{ GRPC_PORT: port }, { HTTP_PORT: port }, { METRICS_PORT: port }].map((taken) =>
        examine({ ...settings, ...taken }),
      ),
    );
    stranger.close();
    const log = createLog("silent");
    const metrics = await startMetricsListener({ metrics: createPrometheus(), host: "127.0.0.1", port: 0, log });
    const metricsPort = new URL(`http://${metrics?.address}`).port;
    expect((await examine({ ...settings, METRICS_PORT: metricsPort }))["metrics-port"]).to.deep.include({
      ...{ status: "ok", finding: `${metricsPort} of 127.0.0.1 is a running Latchkey's` },
    });
    metrics?.close();
    const finding = (setting: string) => `${setting}: port ${port} of 127.0.0.1 is in use, by another program`;
    expect(grpc?.["grpc-port"]).to.include({ status: "failed", finding: finding("GRPC_PORT") });
    expect(http?.["http-port"]).to.include({ status: "failed", finding: finding("HTTP_PORT") });
    expect(figures?.["metrics-port"]).to.include({ status: "warning", finding: finding("METRICS_PORT") });
    const elsewhere = await examine({ ...settings, HOST: "192.0.2.1", HTTP_PORT: "8080" });
    expect(elsewhere["http-port"]?.finding).to.equal("HOST: 192.0.2.1 is not an address of this machine");
  });

  it("tells when the certificate ends, and what its files lack", async () => {
    const folder = createTlsFolder();
    const authority = await createAuthority();
    const secure = { ...settings, TLS_CERT: folder.files.cert, TLS_KEY: folder.files.key };
    const look = async () => (await examine(secure)).tls;
    try {
      expect(await look()).to.include({ status: "failed" });
      folder.writePair(await authority.issue({ to: inDays(100.5) }));
      expect(await look())
        .to.include({ status: "ok" })
        .and.have.property("finding")
        .that.include("in 100 days");
      folder.writePair(await authority.issue({ from: inDays(-90), to: inDays(3.5) }));
      expect(await look()).to.include({ status: "warning" });
      folder.writePair(await authority.issue({ from: inDays(-2), to: inDays(-1) }));
      expect((await look())?.advice?.join()).to.match(/^TLS_CERT expired on /);
    } finally {
      folder.remove();
    }
  });
});
