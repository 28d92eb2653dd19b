import { ConfigError, parseConfig } from "./config.ts";
import { readEnvironment } from "./environment.ts";
import { serve } from "./serve.ts";

try {
  await serve(parseConfig(readEnvironment(process.env, process.cwd())));
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.message : (error as Error).stack}\n`);
  process.exitCode = 1;
}
