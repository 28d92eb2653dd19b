import type { Command } from "commander";
import type { Config } from "../config.ts";
import type { CleanUpReport } from "../jobs/clean-up.ts";
import { alignColumns, printLine } from "./print.ts";
import { withApp } from "./with-app.ts";

/** Cleans up at once and prints how much of each table was deleted. Gives 1 when a table could not be cleaned up. */
export async function cleanUp(command: Command, config: Config): Promise<number> {
  const report = await withApp(config, (app) => app.cleanUp());
  printLine(command.opts<{ json?: boolean }>().json ? JSON.stringify(report) : table(report));
  return report.failed.length > 0 ? 1 : 0;
}

function table({ deleted, failed }: CleanUpReport): string {
  const tables = Object.entries(deleted);
  const isFailed = (name: string) => failed.some((table) => table === name);
  const rows = tables.map(([name, count]) => [name, String(count), isFailed(name) ? "failed" : ""]);
  return alignColumns([["TABLE", "DELETED", ""], ...rows]);
}
