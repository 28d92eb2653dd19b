import { parseConfig } from "./config.ts";
import { readEnvironment } from "./environment.ts";
import { describeFailure } from "./failure.ts";
import { requireNode } from "./node-version.ts";

let debug = false;
try {
  requireNode(process.versions.node, process.execPath);
  const config = parseConfig(readEnvironment(process.env, process.cwd()));
  debug = config.debug;
  const { serve } = await import("./serve.ts");
  await serve(config);
} catch (error) {
  process.stderr.write(`${describeFailure(error, debug)}\n`);
  process.exitCode = 1;
}
