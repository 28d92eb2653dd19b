import { parseConfig } from "./config.ts";
import { readEnvironment } from "./environment.ts";
import { describeFailure } from "./failure.ts";
import { serve } from "./serve.ts";

let debug = false;
try {
  const config = parseConfig(readEnvironment(process.env, process.cwd()));
  debug = config.debug;
  await serve(config);
} catch (error) {
  process.stderr.write(`${describeFailure(error, debug)}\n`);
  process.exitCode = 1;
}
