import type { Command } from "commander";
import type { Config } from "../config.ts";
import type { Account, Answer, Operator } from "../rpc/operator.ts";
import { confirm, requireTerminal } from "./confirm.ts";
import { BLOCK_OPTIONS, CREATE_OPTIONS, DELETE_OPTIONS, JSON_OPTION, LIST_OPTIONS } from "./options.ts";
import { readPassword } from "./password.ts";
import { accountLines, accountTable, nameOf, printLine, printTime, rolesOf } from "./print.ts";
import type { CommandRow } from "./program.ts";
import { withOperator } from "./with-app.ts";

const MAX_PAGE = 100;

/** The commands on accounts; each prints the answer in words, or with `--json` as it is. */
export function createUserCommands(readConfig: () => Config): readonly CommandRow[] {
  const users = createUserActions(readConfig);
  return [
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
  ];
}

function createUserActions(readConfig: () => Config) {
  const callFor = async (command: Command, call: (operator: Operator) => Promise<Answer>, tell: Tell) => {
    const { accounts, json } = await withOperator(readConfig(), call);
    printLine(command.opts<JsonOption>().json ? json : accounts.map(tell).join("\n"));
  };

  return {
    async create(command: Command): Promise<void> {
      const { username, email, role = [], locale = "" } = command.opts<CreateOptions>();
      // Asked for before it is known whether the name is free, but not when nothing could be done with it.
      readConfig();
      const password = await readPassword();
      const account = { username, email, password, locale, roles: [...role] };
      await callFor(command, (operator) => operator.create(account), tellCreated);
    },

    async list(command: Command): Promise<void> {
      const { json, ...asked } = command.opts<ListOptions>();
      const accounts: Account[] = [];
      await withOperator(readConfig(), async (operator) => {
        for await (const page of pages(operator, asked)) {
          if (json) printLine(page.json);
          else accounts.push(...page.accounts);
        }
      });
      if (!json) printLine(accountTable(accounts));
    },

    show: (command: Command) => callFor(command, (operator) => operator.show(userOf(command)), accountLines),

    async block(command: Command): Promise<void> {
      const { reason = "", until } = command.opts<BlockOptions>();
      const end = until ? ` until ${printTime(until)}` : "";
      const call = (operator: Operator) => operator.block(userOf(command), { reason, until });
      await callFor(command, call, (account) => `blocked ${nameOf(account)}${end}`);
    },

    unblock: (command: Command) =>
      callFor(
        command,
        (operator) => operator.unblock(userOf(command)),
        (account) => `unblocked ${nameOf(account)}`,
      ),

    setRoles: (command: Command) =>
      callFor(
        command,
        (operator) => operator.setRoles(userOf(command), command.args.slice(1)),
        (account) => `roles of ${nameOf(account)}: ${rolesOf(account)}`,
      ),

    async delete(command: Command): Promise<void> {
      const { json, yes = false } = command.opts<DeleteOptions>();
      if (!yes) requireTerminal();
      await withOperator(readConfig(), async (operator) => {
        const [account] = (await operator.show(userOf(command))).accounts;
        if (!account) throw new Error("an answer has no account");
        if (!yes && !(await confirm(`Delete ${nameOf(account)} for good?`))) throw new Error("nothing was deleted");
        const answer = await operator.delete(account.id);
        printLine(json ? answer.json : `deleted ${nameOf(account)}`);
      });
    },
  };
}

type Tell = (account: Account) => string;
type JsonOption = { json?: boolean };
type CreateOptions = JsonOption & { username: string; email: string; role?: string[]; locale?: string };
type ListOptions = JsonOption & { prefix?: string; pageSize?: number; pageToken?: string };
type DeleteOptions = JsonOption & { yes?: boolean };
type BlockOptions = JsonOption & { reason?: string; until?: Date };

const tellCreated: Tell = (account) => `created ${nameOf(account)}, roles: ${rolesOf(account)}`;

/** The one page that was asked for; all of them when none was. */
async function* pages(operator: Operator, { prefix = "", pageSize, pageToken }: ListOptions): AsyncGenerator<Answer> {
  const everything = pageSize === undefined && pageToken === undefined;
  let token = pageToken ?? "";
  do {
    const page = await operator.list({ prefix, pageSize: pageSize ?? MAX_PAGE, pageToken: token });
    yield page;
    token = page.nextPageToken;
  } while (everything && token !== "");
}

function userOf({ args }: Command): string {
  return args[0] ?? "";
}
