import { cpSync, readFileSync, symlinkSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { start } from "./commands.ts";
import type { Outcome } from "./programs.ts";
import type { TestService } from "./service.ts";

/** A fenced block of the README, under the nearest heading above it. */
export interface Block {
  readonly heading: string;
  readonly language: string;
  readonly text: string;
}

/** The project's folder, where the README's reader begins. */
export const PROJECT = resolve(import.meta.dirname, "../..");

const HEADING_OR_BLOCK = /^#+ (?<title>.+)$|^```(?<language>\w*)\n(?<text>[\s\S]*?)^```$/gm;
const FILE_NAME = /^(?:#|\/\/) (\S+\.\w+)\n/;
const NOT_COPIED = [".ci", ".git", "coverage", "data", "dist", "node_modules", "test"];
// Wherever one is listened at or called; not in the issuer's name, which is no place.
const PORT = /(?<=(?<!issuer: "http:\/\/)localhost:|listen\()\d+\b/g;
const END = "~~~ end of a block, ";

/** Every fenced block, in the README's order; throws when a fence is not of the form that is read. */
export function readBlocks(): Block[] {
  const readme = readFileSync(join(PROJECT, "README.md"), "utf8");
  const blocks: Block[] = [];
  let heading = "";
  for (const { groups = {} } of readme.matchAll(HEADING_OR_BLOCK)) {
    const { title, language = "", text = "" } = groups;
    if (title) heading = title;
    else blocks.push({ heading, language, text });
  }
  const fences = readme.match(/^\s*(```|~~~)/gm)?.length;
  if (fences !== 2 * blocks.length) throw new Error(`${fences} fences, of which ${2 * blocks.length} are read`);
  return blocks;
}

/** The name that a program gives itself in its first line; null when it has none. */
export function fileNameOf({ text }: Block): string | null {
  return FILE_NAME.exec(text)?.[1] ?? null;
}

/** Copies the project, with the packages that are installed, into a new folder: what is built there disturbs nobody. */
export function copyProject(folder: string): string {
  const isCopied = (path: string) => !NOT_COPIED.includes(relative(PROJECT, path));
  cpSync(PROJECT, folder, { recursive: true, filter: isCopied });
  symlinkSync(join(PROJECT, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** Where blocks are followed. */
export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Ports of the README's own programs, and which to take in their place. */
  readonly ports?: Readonly<Record<number, string>>;
}

/**
 * Follows blocks in one shell, in order: types in what is for the shell and saves the rest as files. Of the README's
 * words only ports are changed, to those of the service and of `ports`. Tells of each block how it ended and what it wrote.
 */
export async function follow(
  { grpcUrl, httpUrl }: TestService,
  blocks: readonly Block[],
  { cwd, env, ports = {} }: Surroundings,
): Promise<Outcome[]> {
  const typed = blocks.map((block) => (block.language === "sh" ? block.text : save(block)));
  const script = typed.map((text) => `${text}echo "${END}$?"; echo "${END}" >&2\n`).join("");
  const actual: Readonly<Record<string, string>> = {
    50051: new URL(grpcUrl).port,
    8080: new URL(httpUrl).port,
    ...ports,
  };
  const rewritten = script.replaceAll(PORT, (port) => actual[port] ?? port);
  const everything = { ...(process.env as Record<string, string>), ...env };
  const { stdout, stderr } = await start("bash", ["-c", rewritten], { cwd, env: everything }).outcome;
  const errors = stderr.split(`${END}\n`);
  const steps = [...stdout.matchAll(new RegExp(`([\\s\\S]*?)${END}(\\d+)\\n`, "g"))];
  return steps.map(([, written = "", code], index) => ({
    code: Number(code),
    stdout: written,
    stderr: (errors[index] ?? "").replace(/^npm warn .*\n/gm, ""),
  }));
}

function save(block: Block): string {
  return `cat >'${fileNameOf(block)}' <<'${END}'\n${block.text}${END}\n`;
}
