import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect } from "chai";

const ROOT = resolve(import.meta.dirname, "..");

/** One file of src/, by its path from there, and what it imports: files by their path from the root, packages by name. */
interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

/** The rooms of src/, by the beginning of a path; the rest is the base that everybody may stand on. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  main: ["main.ts", "cli.ts", "cli/"],
  serve: ["serve.ts"],
  server: ["server/"],
  app: ["app.ts", "foundations.ts"],
  doctor: ["doctor/"],
  gateway: ["gateway/"],
  rpc: ["rpc/"],
  auth: ["auth/"],
  mail: ["mail/"],
  jobs: ["jobs/"],
  db: ["db/"],
  token: ["token/"],
  client: ["client/"],
  wire: ["wire/"],
  base: [
    "address-network.ts",
    "address-range.ts",
    "clock.ts",
    "config.ts",
    "development-secret.ts",
    "environment.ts",
    "failure.ts",
    "html.ts",
    "log.ts",
    "metrics.ts",
    "node-version.ts",
    "polling.ts",
    "rate-limits.ts",
    "secret.ts",
    "setting-conflicts.ts",
    "setting-values.ts",
    "stray-output.ts",
    "version.ts",
    "tls-files.ts",
    "tls.ts",
  ],
};

/** What each room may import beside itself: a whole room, or one file of it. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  main: [
    "serve",
    "app",
    "doctor",
    "rpc/operator.ts",
    "rpc/service-key-operator.ts",
    "rpc/audit-operator.ts",
    "auth/signing-keys.ts",
    "jobs/clean-up.ts",
    "db/service-keys.ts",
    "db/audit-recording.ts",
    "base",
  ],
  serve: ["app", "server", "gateway", "rpc", "base"],
  server: ["rpc", "auth/errors.ts", "base"],
  app: ["rpc", "auth", "mail", "jobs", "db", "base"],
  doctor: ["auth", "mail", "jobs/queue.ts", "db", "server/listener.ts", "server/metrics-listener.ts", "base"],
  gateway: ["rpc", "auth/errors.ts", "token/bearer.ts", "mail/mailbox-entry.ts", "wire", "base", "gen"],
  rpc: [
    "auth",
    "db/users.ts",
    "db/sessions.ts",
    "db/service-keys.ts",
    "db/audit-events.ts",
    "db/audit-recording.ts",
    "token",
    "wire",
    "base",
    "gen",
  ],
  auth: ["db", "token", "base"],
  mail: ["db", "base"],
  jobs: ["db", "base"],
  db: ["base"],
  token: [],
  client: ["token", "wire", "gen"],
  wire: ["gen"],
  base: [],
};

/** Where each foreign vocabulary is spoken: folders, or single files. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  "@connectrpc/": ["rpc/", "gateway/", "client/", "wire/"],
  "@bufbuild/protobuf": ["rpc/", "gateway/", "client/", "wire/"],
  "@grpc/": ["rpc/grpc/", "server/grpc-listener.ts", "client/verifier-interceptors.ts"],
  "grpc-health-check": ["server/grpc-listener.ts"],
  sequelize: ["db/"],
  umzug: ["db/migrate.ts"],
  pg: ["db/", "jobs/queue.ts"],
  "pg-connection-string": ["db/connection.ts"],
  "graphile-worker": ["db/migrate.ts", "jobs/queue.ts"],
  jsonwebtoken: ["auth/access-token.ts", "token/strict-jwt.ts"],
  bcrypt: ["auth/hash-worker.ts"],
  piscina: ["auth/hash-threads.ts"],
  "p-limit": ["db/limit-concurrency.ts"],
  "@zxcvbn-ts/": ["auth/password.ts"],
  nodemailer: ["mail/smtp.ts", "mail/smtp-trial.ts"],
  pino: ["log.ts"],
  "prom-client": ["server/prometheus.ts"],
  commander: ["cli/"],
};

describe("the source", () => {
  const sources = readSources();
  const isIn = (path: string, places: readonly string[]) =>
    places.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));
  const roomOf = (path: string) => Object.keys(ROOMS).find((room) => isIn(path, ROOMS[room] ?? [])) ?? "nowhere";
  const ownImports = ({ imports }: Source) =>
    imports.filter((name) => name.startsWith("src/")).map((name) => name.slice(4));
  /** By what an import can be allowed; nothing for packages. */
  const waysTo = (name: string): string[] => {
    if (name.startsWith("src/")) return [roomOf(name.slice(4)), name.slice(4)];
    return name.startsWith("gen/") ? ["gen"] : [];
  };
  const packages = ({ imports }: Source) => imports.filter((name) => !/^(src|gen)\//.test(name));

  const isOf = (name: string, vocabulary: string) =>
    name === vocabulary || name.startsWith(`${vocabulary.replace(/\/$/, "")}/`);
  const speaksOf = (source: Source, vocabulary: string) => packages(source).some((name) => isOf(name, vocabulary));

  it("has a room for every file", () => {
    expect(sources.length).to.be.above(60);
    expect(sources.filter(({ path }) => roomOf(path) === "nowhere").map(({ path }) => path)).to.deep.equal([]);
  });

  it("imports in one direction: main, serve, server and app; gateway, rpc, auth, db; mail and jobs, db", () => {
    const climbing = sources.flatMap((source) => {
      const room = roomOf(source.path);
      const allowed = [room, ...(MAY_IMPORT[room] ?? [])];
      return source.imports
        .filter((name) => waysTo(name).length > 0 && !waysTo(name).some((way) => allowed.includes(way)))
        .map((name) => `${source.path} imports ${name}`);
    });
    expect(climbing).to.deep.equal([]);
  });

  it("allows nothing that no file needs", () => {
    const rooms = Object.entries(MAY_IMPORT).flatMap(([room, ways]) => {
      const used = sources
        .filter(({ path }) => roomOf(path) === room)
        .flatMap(({ imports }) => imports.flatMap(waysTo));
      return ways.filter((way) => !used.includes(way)).map((way) => `${room}: ${way}`);
    });
    const homes = Object.entries(HOMES).flatMap(([vocabulary, places]) => {
      const speakers = sources.filter((source) => speaksOf(source, vocabulary));
      return places.filter((place) => !speakers.some(({ path }) => isIn(path, [place])));
    });
    expect([...rooms, ...homes]).to.deep.equal([]);
  });

  it("has no two files that import each other, be it by way of others", () => {
    const imports = new Map(sources.map((source) => [source.path, ownImports(source)]));
    const cycles = [...imports.keys()].filter((path) => reach(imports, path).has(path));
    expect(cycles).to.deep.equal([]);
  });

  for (const [vocabulary, homes] of Object.entries(HOMES)) {
    it(`speaks of ${vocabulary} only in ${homes.join(", ")}`, () => {
      const speakers = sources.filter((source) => speaksOf(source, vocabulary));
      expect(speakers).not.to.have.length(0);
      expect(speakers.filter(({ path }) => !isIn(path, homes)).map(({ path }) => path)).to.deep.equal([]);
    });
  }

  it("speaks of no package without a home", () => {
    const names = new Set(sources.flatMap(packages).filter((name) => !name.startsWith("node:")));
    const known = (name: string) => Object.keys(HOMES).some((vocabulary) => isOf(name, vocabulary));
    expect([...names].filter((name) => !known(name))).to.deep.equal([]);
  });

  it("imports nothing that an installation without development dependencies lacks", () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const names = sources.flatMap(packages).filter((name) => !name.startsWith("node:"));
    const installed = new Set(names.map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/")));
    expect([...installed].filter((name) => !Object.hasOwn(dependencies, name))).to.deep.equal([]);
  });

  it("signs and checks JWTs in one file each", () => {
    const calls = (method: string) =>
      sources.filter(({ text }) => text.includes(`jwt.${method}(`)).map(({ path }) => path);
    expect(calls("sign")).to.deep.equal(["auth/access-token.ts"]);
    expect(calls("verify")).to.deep.equal(["token/strict-jwt.ts"]);
    expect(calls("decode")).to.deep.equal([]);
  });

  it("reads the environment only where the process begins", () => {
    const readers = sources.filter(({ text }) => /process\.env|from "node:process"/.test(text)).map(({ path }) => path);
    expect(readers.sort()).to.deep.equal(["cli.ts", "main.ts"]);
  });

  it("reads the wall clock in one place, and elsewhere only where no test has to move it", () => {
    const readers = sources.filter(({ text }) => /\bDate\.now\(\)|new Date\(\)/.test(text)).map(({ path }) => path);
    expect(readers.filter((path) => /^(auth|mail|gateway|token)\//.test(path))).to.deep.equal([]);
  });

  it("writes to no console", () => {
    expect(sources.filter(({ text }) => /\bconsole\./.test(text)).map(({ path }) => path)).to.deep.equal([]);
  });

  it("has files of at most 250 lines", () => {
    const long = sources.filter(({ text }) => text.split("\n").length > 251).map(({ path }) => path);
    expect(long).to.deep.equal([]);
  });
});

function readSources(): Source[] {
  const folder = join(ROOT, "src");
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return paths.map((path) => {
    const text = readFileSync(join(folder, path), "utf8");
    const named = text.matchAll(
      /(?:^|\n)(?:import|export)\b[^;"'`]*?from "([^"]+)"|(?:^|\n)import "([^"]+)"|\bimport\("([^"]+)"\)/g,
    );
    const imports = [...named].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? "");
    return {
      path,
      text,
      imports: imports.map((name) => (name.startsWith(".") ? fromRoot(join(folder, path), name) : name)),
    };
  });
}

function fromRoot(file: string, name: string): string {
  return relative(ROOT, join(dirname(file), name));
}

/** Everything that a file imports, directly or by way of others. */
function reach(imports: ReadonlyMap<string, readonly string[]>, start: string): Set<string> {
  const reached = new Set<string>();
  const queue = [...(imports.get(start) ?? [])];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    queue.push(...(imports.get(path) ?? []));
  }
  return reached;
}
