import { Command, CommanderError, type Option } from "commander";
import { VERSION } from "../version.ts";

/** A command of the operator: how it is called, what for, and what runs. */
export interface CommandRow {
  /** Its words, the last of them with its arguments. */
  readonly usage: string;
  readonly summary: string;
  readonly options?: readonly Option[];
  readonly example: string;
  /** Gives the exit code where it is not 0. */
  readonly run: (command: Command) => Promise<number> | Promise<void>;
}

const USAGE = 2;

// A password that was given as an argument must not be repeated, into the log of a script perhaps.
const SURPLUS = /^(error: too many arguments .* but got \d+): .*/s;

/** Carries out the command that the arguments name. Gives the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function runProgram(
  rows: readonly CommandRow[],
  args: readonly string[],
  describe: (error: unknown) => string,
): Promise<number> {
  let code = 0;
  const carryOut = async (row: CommandRow, command: Command) => {
    code = (await row.run(command)) ?? 0;
  };
  try {
    await createProgram(rows, carryOut).parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    // It has said itself what is wrong; asked for help, it throws too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    process.stderr.write(`${describe(error)}\n`);
    return 1;
  }
}

type CarryOut = (row: CommandRow, command: Command) => Promise<void>;

function createProgram(rows: readonly CommandRow[], carryOut: CarryOut): Command {
  const program = new Command("latchkey")
    .version(VERSION)
    .description("Runs and looks after a Latchkey service, on the database that its settings name.")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(SURPLUS, "$1.\n")) })
    .showHelpAfterError("(--help tells more)");
  for (const row of rows) addCommand(program, row, carryOut);
  return program.addHelpText("after", "\nExit code: 0 done, 1 refused or failed, 2 wrong usage.");
}

function addCommand(program: Command, row: CommandRow, carryOut: CarryOut): void {
  const { usage, summary, options = [], example } = row;
  const [, group, leaf = ""] = /^(?:([a-z-]+) )?([a-z].*)$/.exec(usage) ?? [];
  const command = (group ? findGroup(program, group) : program).command(leaf).description(summary);
  for (const option of options) command.addOption(option);
  command.addHelpText("after", `\nExample:\n  ${example}`).action(() => carryOut(row, command));
}

function findGroup(program: Command, name: string): Command {
  return (
    program.commands.find((command) => command.name() === name) ?? program.command(name).description(GROUPS[name] ?? "")
  );
}

const GROUPS: Readonly<Record<string, string>> = {
  audit: "What happened to accounts and keys, and what was refused.",
  users: "Accounts. <user> is an id, a username or an e-mail address.",
  keys: "Keys that access tokens are signed with.",
  "service-keys": "Keys by which other services call this one.",
};
