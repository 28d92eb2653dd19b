import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { Config } from "../config.ts";
import type { LogEntry, LogFilter, ReadLog } from "../rpc/audit-operator.ts";
import { AUDIT_OPTIONS } from "./options.ts";
import { printLine, printTime, quote } from "./print.ts";
import type { CommandRow } from "./program.ts";
import { withApp } from "./with-app.ts";

const DEFAULT_LINES = 50;
const MAX_PAGE = 100;
const POLL_MS = 1_000;
const TYPE_WIDTH = 24;

/** The commands on the audit log. */
export function createAuditCommands(readConfig: () => Config): readonly CommandRow[] {
  return [
    {
      usage: "audit tail",
      summary: "Prints the newest entries of the audit log, oldest first, and then each one as it is recorded.",
      options: AUDIT_OPTIONS,
      example: "latchkey audit tail --user ada --type sign_in_failed",
      run: (command) => tail(command, readConfig()),
    },
  ];
}

type TailOptions = Partial<LogFilter> & { json?: boolean; lines?: number; follow: boolean };

async function tail(command: Command, config: Config): Promise<void> {
  const { json, lines, follow, user, type, since } = command.opts<TailOptions>();
  const print = (entry: LogEntry) => printLine(json ? entry.json : lineOf(entry));
  const { createAuditOperator } = await import("../rpc/audit-operator.ts");
  await withApp(config, async (app) => {
    const read = await createAuditOperator(app).reader({ user, type, since });
    const most = lines ?? (since ? Number.POSITIVE_INFINITY : DEFAULT_LINES);
    const { entries, followToken } = await readNewest(read, most);
    for (const entry of entries.reverse()) print(entry);
    if (follow) await followFrom(followToken, read, print);
  });
}

/** The newest entries, newest first, and the token for what comes after them. */
async function readNewest(read: ReadLog, most: number): Promise<{ entries: LogEntry[]; followToken: string }> {
  const first = await read(Math.max(1, Math.min(most, MAX_PAGE)), "");
  const entries = [...first.entries];
  for (let token = first.nextPageToken; token !== "" && entries.length < most; ) {
    const page = await read(MAX_PAGE, token);
    entries.push(...page.entries);
    token = page.nextPageToken;
  }
  return { entries: entries.slice(0, most), followToken: first.followToken };
}

/** Prints what is recorded until a signal comes, or nobody reads it any more. */
async function followFrom(followToken: string, read: ReadLog, print: (entry: LogEntry) => void): Promise<void> {
  const { Refusal } = await import("../rpc/operator.ts");
  const ending = new AbortController();
  const { signal } = ending;
  const end = () => ending.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  process.stdout.once("error", end);
  let isAway = false;
  for (let token = followToken; !signal.aborted; ) {
    const page = await read(MAX_PAGE, token).catch((error) => {
      if (error instanceof Refusal && error.reason === "UNAVAILABLE") return null;
      throw error;
    });
    if (!page && !isAway) process.stderr.write("the database is away: what is recorded is printed when it is back\n");
    isAway = page === null;
    for (const entry of page?.entries ?? []) print(entry);
    token = page?.followToken ?? token;
    if (page?.entries.length !== MAX_PAGE) await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

function lineOf({ time, type, reason, count, ...entry }: LogEntry): string {
  const { userId, actor, address, sessionId, deviceName, detail } = entry;
  const values = {
    ...{ reason, user: userId === 0n ? "" : String(userId), actor, address, session: sessionId },
    ...{ device: quote(deviceName), detail: quote(detail), count: count === 1 ? "" : String(count) },
  };
  const words = Object.entries(values).flatMap(([name, value]) => (value === "" ? [] : [`${name}=${value}`]));
  return [printTime(time), type.padEnd(TYPE_WIDTH), ...words].join("  ");
}
