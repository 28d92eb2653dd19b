#!/usr/bin/env node
import { createAuditCommands } from "./cli/audit.ts";
import { cleanUp } from "./cli/clean-up.ts";
import { tellDiagnosis } from "./cli/doctor.ts";
import { requireAlive } from "./cli/health.ts";
import { createKeyCommands } from "./cli/keys.ts";
import { CLEAN_UP_OPTION, REPORT_OPTION } from "./cli/options.ts";
import { type CommandRow, runProgram } from "./cli/program.ts";
import { createServiceKeyCommands } from "./cli/service-keys.ts";
import { createUserCommands } from "./cli/users.ts";
import { withApp } from "./cli/with-app.ts";
import { type Config, parseConfig } from "./config.ts";
import { readEnvironment } from "./environment.ts";
import { describeFailure } from "./failure.ts";
import { requireNode } from "./node-version.ts";

const LINGER_MS = 1_000;
let debug = false;

function readConfig(): Config {
  requireNode(process.versions.node, process.execPath);
  const config = parseConfig(readEnvironment(process.env, process.cwd()));
  debug = config.debug;
  return config;
}

async function runService(): Promise<void> {
  const config = readConfig();
  const { serve } = await import("./serve.ts");
  await serve(config);
}

async function migrate(): Promise<void> {
  const migrations = await withApp(readConfig(), (app) => app.migrations, { upkeep: true });
  process.stdout.write(migrations.length > 0 ? `migrated: ${migrations.join(", ")}\n` : "up to date\n");
}

const COMMANDS: readonly CommandRow[] = [
  {
    usage: "serve",
    summary: "Runs the service, as npm start does.",
    example: "latchkey serve",
    run: runService,
  },
  {
    usage: "migrate",
    summary: "Brings the database to the schema of this version, as all other commands but health and doctor do too.",
    example: "latchkey migrate",
    run: migrate,
  },
  {
    usage: "health",
    summary: "Asks the service that runs on this machine, by the same settings, whether it lives. Says nothing if so.",
    example: "latchkey health",
    run: () => requireAlive(readConfig()),
  },
  {
    usage: "doctor",
    summary: "Looks whether all that the service needs is there and works, and says what to mend. Changes nothing.",
    options: [REPORT_OPTION],
    example: "latchkey doctor",
    run: (command) => tellDiagnosis(command, readConfig),
  },
  {
    usage: "clean-up",
    summary: "Deletes at once what is over, as the service does each hour, and says how much of what.",
    options: [CLEAN_UP_OPTION],
    example: "latchkey clean-up",
    run: (command) => cleanUp(command, readConfig()),
  },
  ...createUserCommands(readConfig),
  ...createKeyCommands(readConfig),
  ...createServiceKeyCommands(readConfig),
  ...createAuditCommands(readConfig),
];

// `latchkey users list | head` goes away before the end.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
process.exitCode = await runProgram(COMMANDS, process.argv.slice(2), (error) => describeFailure(error, debug));
// The socket of a database that went silent would keep the process for as long as the system keeps the socket.
setTimeout(() => process.exit(), LINGER_MS).unref();
