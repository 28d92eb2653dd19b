import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The settings of a process: those of `.env` in the folder, and over them the environment. */
export function readEnvironment(env: Environment, folder: string): Environment {
  const file = join(folder, ".env");
  return existsSync(file) ? { ...parseEnv(readFileSync(file, "utf8")), ...env } : env;
}
