#!/usr/bin/env node
import { withApp } from "./cli/app.ts";
import { tellDiagnosis } from "./cli/doctor.ts";
import { requireAlive } from "./cli/health.ts";
import { createKeyCommands } from "./cli/keys.ts";
import {
  BLOCK_OPTIONS,
  CREATE_OPTIONS,
  DELETE_OPTIONS,
  JSON_OPTION,
  LIST_OPTIONS,
  REPORT_OPTION,
} from "./cli/options.ts";
import { type CommandRow, runProgram } from "./cli/program.ts";
import { createServiceKeyCommands } from "./cli/service-keys.ts";
import { createUserCommands } from "./cli/users.ts";
import { type Config, parseConfig } from "./config.ts";
import { readEnvironment } from "./environment.ts";
import { describeFailure } from "./failure.ts";

const LINGER_MS = 1_000;
let debug = false;

function readConfig(): Config {
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
  const migrations = await withApp(readConfig(), (app) => app.migrations);
  process.stdout.write(migrations.length > 0 ? `migrated: ${migrations.join(", ")}\n` : "up to date\n");
}

const users = createUserCommands(readConfig);
const COMMANDS: readonly CommandRow[] = [
  {
    usage: "serve",
    summary: "Runs the service, as npm start does.",
    example: "latchkey serve",
    run: runService,
  },
  {
    usage: "migrate",
    summary: "Brings the database to the schema of this version, as every other command does too.",
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
    usage: "users create",
    summary:
      "Makes an account, confirmed at once. Its password is asked for, or read from stdin if that is no terminal.",
    options: CREATE_OPTIONS,
    example: "latchkey users create --username ada --email ada@example.com --role admin",
    run: users.create,
  },
  {
    usage: "users list",
    summary: "Lists accounts by username, or by e-mail address if the prefix holds an @.",
    options: LIST_OPTIONS,
    example: "latchkey users list --prefix ada",
    run: users.list,
  },
  {
    usage: "users show <user>",
    summary: "Shows one account.",
    options: [JSON_OPTION],
    example: "latchkey users show ada@example.com --json",
    run: users.show,
  },
  {
    usage: "users block <user>",
    summary: "Blocks an account. Its sessions end, and their access tokens are refused at once.",
    options: BLOCK_OPTIONS,
    example: "latchkey users block ada --reason spam --until 2030-01-31T12:00:00Z",
    run: users.block,
  },
  {
    usage: "users unblock <user>",
    summary: "Ends the block of an account.",
    options: [JSON_OPTION],
    example: "latchkey users unblock ada",
    run: users.unblock,
  },
  {
    usage: "users set-role <user> [role...]",
    summary: "Sets the whole set of an account's roles; none takes them all. Losing one ends its sessions.",
    options: [JSON_OPTION],
    example: "latchkey users set-role ada admin support",
    run: users.setRoles,
  },
  {
    usage: "users delete <user>",
    summary: "Deletes an account for good, after asking. Its sessions end, and both of its names are free at once.",
    options: DELETE_OPTIONS,
    example: "latchkey users delete ada --yes",
    run: users.delete,
  },
  ...createKeyCommands(readConfig),
  ...createServiceKeyCommands(readConfig),
];

// `latchkey users list | head` goes away before the end.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
process.exitCode = await runProgram(COMMANDS, process.argv.slice(2), (error) => describeFailure(error, debug));
// The socket of a database that went silent would keep the process for as long as the system keeps the socket.
setTimeout(() => process.exit(), LINGER_MS).unref();
