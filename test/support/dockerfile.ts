import { readFileSync } from "node:fs";

/** One instruction of a Dockerfile, with what follows its keyword. */
export interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

/** A stage of a Dockerfile; one without a name has its number for it. */
export interface Stage {
  readonly name: string;
  /** A stage before, or somebody else's image. */
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

/** Reads a Dockerfile as its stages. */
export function readDockerfile(path: string): Stage[] {
  const stages: Array<Stage & { readonly instructions: Instruction[] }> = [];
  for (const line of readLines(path)) {
    const [, keyword = "", text = ""] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
    const [base = "", , name = String(stages.length)] = text.split(/ +/);
    if (keyword === "FROM") stages.push({ name, base, instructions: [] });
    else stages.at(-1)?.instructions.push({ keyword, text });
  }
  return stages;
}

/** What a COPY brings where; `from` is the stage that it takes it of, null for the checkout. */
export function readCopy(text: string): { from: string | null; sources: string[]; target: string } {
  const [, from = null, paths = ""] = /^(?:--from=(\S+) +)?(.*)$/.exec(text) ?? [];
  const words = paths.split(/ +/);
  return { from, sources: words.slice(0, -1), target: words.at(-1) ?? "" };
}

function readLines(path: string): string[] {
  const text = readFileSync(path, "utf8").replaceAll(/^\s*#.*\n/gm, "");
  const lines = text.replaceAll(/\\\n/g, " ").split("\n");
  return lines.map((line) => line.trim()).filter((line) => line !== "");
}
