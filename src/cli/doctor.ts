import type { Command } from "commander";
import type { Config } from "../config.ts";
import type { Check, Status } from "../doctor/check.ts";
import { alignColumns } from "./print.ts";

/** Prints what the doctor finds, in words or with `--json` on one line. Gives 1 when anything has failed. */
export async function tellDiagnosis(command: Command, readConfig: () => Config): Promise<number> {
  const { diagnose } = await import("../doctor/doctor.ts");
  const checks = await diagnose(readConfig);
  const ok = !checks.some(({ status }) => status === "failed");
  const { json } = command.opts<{ json?: boolean }>();
  process.stdout.write(`${json ? JSON.stringify({ ok, checks }) : reportLines(checks)}\n`);
  return ok ? 0 : 1;
}

function reportLines(checks: readonly Check[]): string {
  const rows = checks.flatMap(({ status, name, finding, advice = [] }) => [
    [status, name, finding],
    ...advice.map((line) => ["", "", `-> ${line}`]),
  ]);
  return `${alignColumns(rows)}\n\n${summarise(checks)}`;
}

const TOLD: readonly Status[] = ["ok", "warning", "failed", "skipped"];

function summarise(checks: readonly Check[]): string {
  const counts = TOLD.map((status) => ({ status, count: checks.filter((check) => check.status === status).length }));
  const found = counts.filter(({ count }) => count > 0).map(({ status, count }) => `${count} ${status}`);
  return `${checks.length} checks: ${found.join(", ")}`;
}
