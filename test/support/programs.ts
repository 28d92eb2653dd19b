import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** How a program ended and what it wrote. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TOOLS = resolve(import.meta.dirname, "../../.ci/tools");

/** Where a program is: among the installed tools, else on the PATH; null when it is nowhere. */
export function findProgram(name: string): string | null {
  const folders = [TOOLS, join(TOOLS, "python/bin"), ...(process.env.PATH ?? "").split(delimiter)];
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

/** A Python that has these modules; null when there is none. */
export async function findPython(...modules: readonly string[]): Promise<string | null> {
  const python = findProgram("python3");
  if (!python) return null;
  const { code } = await run(python, ["-c", `import ${modules.join(", ")}`]);
  return code === 0 ? python : null;
}

/** Skips a suite or a test for want of a program, and says so. */
export function skipWithout(context: Mocha.Context, program: string): never {
  return skipSince(context, `${program} is not installed (.ci/install-tools installs it)`);
}

/** Skips a suite or a test, and says why. */
export function skipSince(context: Mocha.Context, reason: string): never {
  process.stdout.write(`    ${reason}\n`);
  return context.skip();
}

/** Runs a program to its end, however it ends, within `timeout` ms. */
export function run(program: string, args: readonly string[], timeout = 25_000): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout }, (error, stdout, stderr) => {
      const failed = typeof error?.code === "number" ? error.code : 1;
      const code = error ? failed : 0;
      resolve({ code, stdout, stderr });
    });
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
