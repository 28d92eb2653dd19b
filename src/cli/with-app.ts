import type { App } from "../app.ts";
import type { Config } from "../config.ts";
import { createLog } from "../log.ts";
import type { Operator } from "../rpc/operator.ts";

/** Runs something on the app, which is migrated by then, and closes it. Signing keys are made only with `upkeep`. */
export async function withApp<T>(
  config: Config,
  run: (app: App) => T | Promise<T>,
  { upkeep = false } = {},
): Promise<T> {
  // Loaded only now: to tell of wrong usage takes none of it.
  const { createApp } = await import("../app.ts");
  const app = await createApp(config, { log: createLog("warn"), upkeep });
  try {
    return await run(app);
  } finally {
    await app.close();
  }
}

/** The same on AdminService, called by the operator. */
export async function withOperator<T>(config: Config, run: (operator: Operator) => Promise<T>): Promise<T> {
  const { createOperator } = await import("../rpc/operator.ts");
  return withApp(config, (app) => run(createOperator(app)));
}
