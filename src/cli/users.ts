import type { Command } from "commander";
import type { Config } from "../config.ts";
import type { Account, Answer, Operator } from "../rpc/operator.ts";
import { withOperator } from "./app.ts";
import { confirm, requireTerminal } from "./confirm.ts";
import { readPassword } from "./password.ts";
import { accountLines, accountTable, nameOf, printTime, rolesOf } from "./print.ts";

const MAX_PAGE = 100;

/** Builds what the commands on accounts do; each prints the answer in words, or with `--json` as it is. */
export function createUserCommands(readConfig: () => Config) {
  const callFor = async (command: Command, call: (operator: Operator) => Promise<Answer>, tell: Tell) => {
    const { accounts, json } = await withOperator(readConfig(), call);
    print(command.opts<JsonOption>().json ? json : accounts.map(tell).join("\n"));
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
          if (json) print(page.json);
          else accounts.push(...page.accounts);
        }
      });
      if (!json) print(accountTable(accounts));
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
        print(json ? answer.json : `deleted ${nameOf(account)}`);
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

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
