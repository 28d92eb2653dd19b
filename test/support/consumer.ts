import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { start } from "./commands.ts";
import type { Outcome } from "./programs.ts";
import { copyProject, PROJECT } from "./readme.ts";

/** Another project, in whose folder the packed package is installed. */
export interface Consumer {
  readonly folder: string;
  /** The files of the package. */
  readonly packed: readonly string[];
  /** Runs a program in the folder, to its end. */
  run(program: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Outcome>;
  /** Starts one that is ended by a signal. */
  start(program: string, args: readonly string[], env: Readonly<Record<string, string>>): ReturnType<typeof start>;
  remove(): void;
}

const PROGRAMS = resolve(import.meta.dirname, "../consumer");
const NEEDED = ["@connectrpc/connect", "@connectrpc/connect-node"];

/** Packs the project and installs the package in a folder with nothing but the programs of test/consumer. */
export async function installPackage(): Promise<Consumer> {
  const root = mkdtempSync(join(tmpdir(), "latchkey-test-"));
  const remove = () => rmSync(root, { recursive: true, force: true });
  process.on("exit", remove);
  await npm(copyProject(join(root, "project")), "pack", "--pack-destination", root);
  const tarball = readdirSync(root).find((name) => name.endsWith(".tgz")) ?? "";
  const folder = join(root, "consumer");
  mkdirSync(folder);
  describeProject(folder, tarball);
  await npm(folder, "install", "--prefer-offline", "--no-audit", "--no-fund");
  for (const program of readdirSync(PROGRAMS)) copyFileSync(join(PROGRAMS, program), join(folder, program));
  cpSync(join(PROJECT, "examples"), join(folder, "examples"), { recursive: true });
  const packed = readdirSync(join(folder, "node_modules/latchkey"), { recursive: true, encoding: "utf8" });
  const startHere: Consumer["start"] = (program, args, env) => start(program, args, { cwd: folder, env });
  const run: Consumer["run"] = (program, args, env = {}) => startHere(program, args, env).outcome;
  return { folder, packed, run, start: startHere, remove };
}

// With the versions of our lock file, which npm has kept since it installed them here: most often no network is needed.
function describeProject(folder: string, tarball: string): void {
  const ours = readJson(join(PROJECT, "package.json"));
  const versions = NEEDED.map((name) => [name, ours.dependencies[name]]);
  const dependencies = { latchkey: `file:../${tarball}`, ...Object.fromEntries(versions) };
  const project = { name: "consumer", private: true, type: "module", dependencies };
  const { packages, lockfileVersion } = readJson(join(PROJECT, "package-lock.json"));
  const kept = Object.entries<{ dev?: boolean }>(packages).filter(([path, { dev }]) => path !== "" && !dev);
  const lock = { lockfileVersion, requires: true, packages: { "": project, ...Object.fromEntries(kept) } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(project));
  writeFileSync(join(folder, "package-lock.json"), JSON.stringify(lock));
}

function readJson(path: string) {
  return JSON.parse(readFileSync(path, "utf8"));
}

async function npm(cwd: string, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await start("npm", args, { cwd, env: process.env as Record<string, string> })
    .outcome;
  if (code !== 0) throw new Error(`npm ${args[0]} ended with ${code}\n${stdout}${stderr}`);
}
