import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { databaseProcesses, runSource } from "./support/commands.ts";
import { examine, namesOf, type Settings } from "./support/doctor.ts";
import { waitUntil } from "./support/wait.ts";

describe("the doctor, of a development machine,", () => {
  let folder: string;
  let dataDir: string;
  let settings: Settings;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
    chmodSync(folder, 0o711);
    dataDir = join(folder, "data");
    settings = { DATA_DIR: dataDir, HTTP_PORT: "0", GRPC_PORT: "0", METRICS_PORT: "0", BCRYPT_COST: "10" };
  });
  after(() => {
    const where = join(dataDir, "where");
    if (existsSync(where)) rmSync(readFileSync(where, "utf8").trim(), { recursive: true });
    rmSync(folder, { recursive: true });
  });

  const secretKey = () => join(dataDir, "secret-key");

  it("makes neither database nor key before the first start", async () => {
    for (const files of [() => readdirSync(folder), () => readdirSync(dataDir)]) {
      const { code, stdout } = await runSource("cli.ts", ["doctor"], { env: settings });
      expect(code, stdout).to.equal(0);
      expect(stdout).to.match(/^ok +database +embedded, not made yet: the first start makes it$/m);
      expect(stdout).to.match(/^skipped +keys +there is no database yet$/m);
      expect(files()).to.deep.equal([]);
      mkdirSync(dataDir, { recursive: true, mode: 0o711 });
    }
  });

  it("starts the database to look at it, and lets it end", async () => {
    expect(await runSource("cli.ts", ["migrate"], { env: settings })).to.include({ code: 0 });
    const files = readdirSync(dataDir);
    const { code, stdout } = await runSource("cli.ts", ["doctor"], { env: settings });
    expect(code, stdout).to.equal(0);
    expect(stdout).to.match(/^ok +database +embedded: PostgreSQL \d+/m);
    expect(stdout).to.match(/^ok +keys +\S+secret-key opens all \d+; access tokens are signed by ES256$/m);
    expect(stdout).to.not.include(readFileSync(secretKey(), "utf8").trim());
    expect(readdirSync(dataDir)).to.deep.equal(files);
    await waitUntil(() => databaseProcesses(dataDir).length === 0);
  });

  it("warns of a secret that others can read, and misses one that is gone without making another", async () => {
    chmodSync(secretKey(), 0o644);
    const open = await examine(settings);
    expect(open.keys).to.include({ status: "warning" });
    expect(open.keys?.advice?.join()).to.include(`chmod 600 ${secretKey()}`);
    rmSync(secretKey());
    const gone = await examine(settings);
    expect(namesOf(gone, "failed")).to.deep.equal(["keys"]);
    expect(gone.keys?.finding).to.include(`neither SECRET_KEY nor ${secretKey()}`);
    expect(existsSync(secretKey())).to.equal(false);
  });
});
