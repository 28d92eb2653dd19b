import { type ChildProcess, execFileSync, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import pg from "pg";
import { joinEmbedded } from "../src/db/embedded/join.ts";

const EMBEDDED = new URL("../src/db/embedded/join.ts", import.meta.url);
const NOBODY = 65534;
const asRoot = process.geteuid?.() === 0;

const HOLDER = `
import { joinEmbedded } from ${JSON.stringify(EMBEDDED.href)};
const server = await joinEmbedded(process.argv[1]).catch((error) => {
  console.log(JSON.stringify({ error: error.message }));
  process.exit(1);
});
console.log(JSON.stringify({ url: server.url }));
process.stdin.on("end", async () => {
  await server.release({ wait: true });
  process.exit();
}).resume();
`;

describe("the embedded database", () => {
  const folders: string[] = [];
  const children: ChildProcess[] = [];
  let shared: string;

  function makeFolder(mode = 0o711): string {
    const folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
    chmodSync(folder, mode);
    folders.push(folder);
    return join(folder, "data");
  }

  function launch(dataDir: string, options: { uid?: number; gid?: number } = {}): ChildProcess {
    const args = ["--input-type=module", "-e", HOLDER, dataDir];
    const stdio: StdioOptions = ["pipe", "pipe", "inherit"];
    // A file that Node would hand on to its children, as supervisors leave them.
    if (process.platform === "linux") stdio[40] = "pipe";
    const child = spawn(process.execPath, args, {
      cwd: "/",
      stdio: Array.from(stdio, (kind) => kind ?? "ignore"),
      ...options,
    });
    (child.stdio as (Readable | undefined)[])[40]?.resume();
    children.push(child);
    return child;
  }

  async function hold(dataDir: string, options: { uid?: number; gid?: number } = {}) {
    const child = launch(dataDir, options);
    const { url, error } = JSON.parse(String(await firstOutput(child)));
    if (error) throw new Error(error);
    return { url: url as string, kill: () => killed(child), leave: () => left(child), child };
  }

  before(() => {
    shared = makeFolder();
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map(killed));
    for (const folder of folders) await until(`no process of ${folder}`, () => processesOf(folder).length === 0);
  });

  after(() => {
    for (const folder of folders) {
      const where = join(folder, "data/where");
      if (existsSync(where)) rmSync(readFileSync(where, "utf8").trim(), { recursive: true });
      rmSync(folder, { recursive: true });
    }
  });

  it("starts on an empty folder, durable and out of the network's reach", async () => {
    const { url } = await hold(shared);
    const [row] = await ask(
      url,
      `select current_user as name, current_database() as database, current_setting('fsync') as fsync,
         current_setting('listen_addresses') as addresses, current_setting('server_encoding') as encoding,
         current_setting('data_checksums') as checksums, current_setting('max_connections')::int as connections`,
    );
    expect(row).to.deep.equal({
      name: "latchkey",
      database: "latchkey",
      fsync: "on",
      addresses: "",
      encoding: "UTF8",
      checksums: "on",
      connections: 200,
    });
    const socketFolder = new URL(url).searchParams.get("host") ?? "";
    expect(statSync(socketFolder).mode & 0o777).to.equal(0o700);
  });

  it("is shared by all who come, and stays when the first leaves", async () => {
    const first = await hold(shared);
    const second = await hold(shared);
    const own = await joinEmbedded(shared);
    const births = await Promise.all([first.url, second.url, own.url].map(birthOf));
    expect(new Set(births).size).to.equal(1);
    await first.leave();
    await second.kill();
    expect(await birthOf(own.url)).to.equal(births[0]);
    await own.release({ wait: true });
    await until("no process", () => processesOf(shared).length === 0);
  });

  it("does not wait for the others when one leaves", async () => {
    const first = await hold(shared);
    const own = await joinEmbedded(shared);
    await own.release({ wait: true });
    expect(await birthOf(first.url)).to.be.a("string");
  });

  it("ends by itself when its last holder has died", async () => {
    const holders = [await hold(shared), await hold(shared)];
    expect(processesOf(shared)).to.not.deep.equal([]);
    await Promise.all(holders.map((holder) => holder.kill()));
    await until("no process", () => processesOf(shared).length === 0);
  });

  it("keeps neither the streams nor the environment of the process that started it", async () => {
    const first = await hold(shared);
    const second = await hold(shared);
    first.child.kill("SIGKILL");
    await once(first.child, "close");
    expect(await birthOf(second.url)).to.be.a("string");
    for (const pid of process.platform === "linux" ? processesOf(shared, "postgres -D") : []) {
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).to.not.contain("HOME=");
    }
  });

  it("starts anew, with every acknowledged write, after server and watchdog were killed", async () => {
    const first = await hold(shared);
    await ask(first.url, "create table kept (id int)");
    await ask(first.url, "insert into kept values (1)");
    const birth = await birthOf(first.url);
    for (const pid of processesOf(shared)) kill(pid);
    const second = await hold(shared);
    expect(await ask(second.url, "select id from kept")).to.deep.equal([{ id: 1 }]);
    expect(await birthOf(second.url)).to.not.equal(birth);
    await second.leave();
    expect(await birthOf(first.url)).to.be.a("string");
  });

  it("is not deceived by the pid of another process in a stale pid file", async () => {
    const { url, kill } = await hold(shared);
    const [row] = await ask(url, "select current_setting('data_directory') as folder");
    const pidFile = join(String(row?.folder), "postmaster.pid");
    const lines = readFileSync(pidFile, "utf8").split("\n");
    await kill();
    await until("no process", () => processesOf(shared).length === 0);
    writeFileSync(pidFile, [process.pid, ...lines.slice(1)].join("\n"), { mode: 0o600 });
    expect(await birthOf((await hold(shared)).url)).to.be.a("string");
  });

  it("gets a new watchdog when it lost its own", async () => {
    const first = await hold(shared);
    const birth = await birthOf(first.url);
    for (const pid of processesOf(shared, "latchkey-watchdog")) kill(pid);
    const second = await hold(shared);
    expect(await birthOf(second.url)).to.equal(birth);
    await second.kill();
    expect(await birthOf(first.url)).to.equal(birth);
    await first.leave();
    await until("no process", () => processesOf(shared).length === 0);
  });

  it("comes back for one who joins while it ends", async () => {
    for (let round = 0; round < 5; round++) {
      const leaver = await joinEmbedded(shared);
      void leaver.release();
      const joiner = await joinEmbedded(shared);
      expect(await birthOf(joiner.url)).to.be.a("string");
      await joiner.release();
    }
  });

  it("lets eight start at once on an empty folder", async () => {
    const dataDir = makeFolder();
    const holders = await Promise.all(Array.from({ length: 8 }, () => hold(dataDir)));
    const births = await Promise.all(holders.map(({ url }) => birthOf(url)));
    expect(new Set(births).size).to.equal(1);
  });

  it("leaves nothing half made when killed on its first start", async () => {
    const dataDir = makeFolder();
    const child = launch(dataDir);
    const fresh = await until("a folder in the making", () => findEntry(dataDir, "data.new-"));
    await until("a first file", () => existsSync(join(fresh, "PG_VERSION")));
    await killed(child);
    expect(existsSync(join(dirname(fresh), "data"))).to.equal(false);
    await until("no process", () => processesOf(dirname(fresh)).length === 0);
    const { url } = await hold(dataDir);
    expect(await birthOf(url)).to.be.a("string");
    expect(findEntry(dataDir, "data.new-")).to.equal(undefined);
  });

  it("finds a shorter place for the socket when the folder's path is long", async () => {
    const dataDir = join(makeFolder(), 'a, "b"'.repeat(10), "c".repeat(60));
    const { url } = await hold(dataDir);
    const socketFolder = new URL(url).searchParams.get("host") ?? "";
    folders.push(asRoot ? dirname(socketFolder) : socketFolder);
    expect(socketFolder.length).to.be.below(60);
    expect(await birthOf(url)).to.be.a("string");
  });

  it("says why the server does not start", async () => {
    const { url, leave } = await hold(shared);
    const [row] = await ask(url, "select current_setting('config_file') as file");
    await leave();
    const file = String(row?.file);
    const settings = readFileSync(file);
    appendFileSync(file, "no_such_setting = 1\n");
    const message = await hold(shared).then(
      () => "",
      (error) => error.message,
    );
    writeFileSync(file, settings);
    expect(message).to.contain('unrecognized configuration parameter "no_such_setting"');
  });

  it("runs for an ordinary user", async function () {
    if (!asRoot || !canRead(NOBODY)) return this.skip();
    const dataDir = makeFolder();
    mkdirSync(dataDir);
    chownSync(dataDir, NOBODY, NOBODY);
    const { url } = await hold(dataDir, { uid: NOBODY, gid: NOBODY });
    expect(await birthOf(url)).to.be.a("string");
    expect(statSync(join(dataDir, "postgres/data")).uid).to.equal(NOBODY);
  });

  it("lives in the system's folder when root keeps DATA_DIR to itself", async function () {
    if (!asRoot) return this.skip();
    const dataDir = makeFolder(0o700);
    const { url } = await hold(dataDir);
    const home = readFileSync(join(dataDir, "where"), "utf8").trim();
    expect(home).to.match(/^\/var\/lib\/latchkey\/[0-9a-f]{12}$/);
    expect(await ask(url, "select current_setting('data_directory') as folder")).to.deep.equal([
      { folder: join(home, "data") },
    ]);
  });
});

async function firstOutput(child: ChildProcess): Promise<unknown> {
  const [output] = await Promise.race([once(child.stdout ?? child, "data"), once(child, "close")]);
  return output;
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

async function left(child: ChildProcess): Promise<void> {
  child.stdin?.end();
  await once(child, "exit");
}

async function ask(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

async function birthOf(url: string): Promise<string> {
  const [row] = await ask(url, "select pg_postmaster_start_time()::text as birth");
  return String(row?.birth);
}

async function until<T>(what: string, probe: () => T): Promise<NonNullable<T>> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const found = probe();
    if (found) return found;
    await sleep(5);
  }
  throw new Error(`waited too long for ${what}`);
}

// Servers, their watchdogs and initdb name the data folder on their command lines; so do the holders, which run node.
function processesOf(dataDir: string, word = ""): number[] {
  const lines = execFileSync("ps", ["-ww", "-eo", "pid=,args="], { encoding: "utf8" }).split(/\n(?= *\d+ )/);
  const places = [dataDir, homeAside(dataDir)].filter((place) => place !== "");
  const ours = lines.filter((line) => places.some((place) => line.includes(`-D ${place}`)) && line.includes(word));
  return ours.map((line) => Number.parseInt(line, 10));
}

function homeAside(dataDir: string): string {
  const where = join(dataDir, "where");
  return existsSync(where) ? readFileSync(where, "utf8").trim() : "";
}

function findEntry(dataDir: string, prefix: string): string | undefined {
  const root = homeAside(dataDir) || join(dataDir, "postgres");
  const name = existsSync(root) ? readdirSync(root).find((entry) => entry.startsWith(prefix)) : undefined;
  return name && join(root, name);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function canRead(uid: number): boolean {
  const probe = spawnSync(process.execPath, ["--check", EMBEDDED.pathname], { cwd: "/", uid, gid: uid });
  return probe.status === 0;
}
