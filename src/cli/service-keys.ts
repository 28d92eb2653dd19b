import type { Command } from "commander";
import type { Config } from "../config.ts";
import type { ServiceKey, ServiceScope } from "../db/service-keys.ts";
import type { createServiceKeyOperator } from "../rpc/service-key-operator.ts";
import { JSON_OPTION, SERVICE_KEY_OPTIONS } from "./options.ts";
import { alignColumns, printLine, printTime } from "./print.ts";
import type { CommandRow } from "./program.ts";
import { withApp } from "./with-app.ts";

type Operator = ReturnType<typeof createServiceKeyOperator>;
type JsonOption = { json?: boolean };

/** The commands on service keys. */
export function createServiceKeyCommands(readConfig: () => Config): readonly CommandRow[] {
  const ask = async <T>(run: (operator: Operator) => Promise<T>): Promise<T> => {
    const { createServiceKeyOperator } = await import("../rpc/service-key-operator.ts");
    return withApp(readConfig(), (app) => run(createServiceKeyOperator(app)));
  };

  const create = async (command: Command): Promise<void> => {
    const { name, scope, expires, json } = command.opts<CreateOptions>();
    const issued = await ask((operator) => operator.create(name, scope, expires));
    if (json) return printLine(JSON.stringify(issued));
    process.stderr.write(`created ${name}, id ${issued.id}; this is the only time that the key is shown:\n`);
    printLine(issued.key);
  };
  const list = async (command: Command): Promise<void> => {
    const { serviceKeys, json } = await ask((operator) => operator.list());
    printLine(command.opts<JsonOption>().json ? json : table(serviceKeys));
  };
  const revoke = async ({ args: [id = ""] }: Command): Promise<void> => {
    if (!(await ask((operator) => operator.revoke(id))))
      throw new Error("there is no such key, or it was revoked before");
    printLine(`revoked ${id}`);
  };

  return [
    {
      usage: "service-keys create",
      summary: "Makes a key for another service and prints it, this once.",
      options: SERVICE_KEY_OPTIONS,
      example: "latchkey service-keys create --name billing --scope introspect --scope watch",
      run: create,
    },
    {
      usage: "service-keys list",
      summary: "Lists every service key, without the key itself.",
      options: [JSON_OPTION],
      example: "latchkey service-keys list",
      run: list,
    },
    {
      usage: "service-keys revoke <id>",
      summary: "Ends a service key, within a second in every process.",
      example: "latchkey service-keys revoke 6SWkHUOzUZqL",
      run: revoke,
    },
  ];
}

type CreateOptions = JsonOption & { name: string; scope: ServiceScope[]; expires?: Date };

function table(keys: readonly ServiceKey[]): string {
  const print = (time: Date | null) => (time ? printTime(time) : "never");
  const rows = keys.map((key) => [
    ...[key.id, key.name, key.scopes.join(", "), stateOf(key), print(key.createdAt), print(key.expiresAt)],
    print(key.lastUsedAt),
  ]);
  return alignColumns([["ID", "NAME", "SCOPES", "STATE", "CREATED", "EXPIRES", "LAST USE"], ...rows]);
}

function stateOf({ revokedAt, expiresAt }: ServiceKey): string {
  if (revokedAt) return `revoked ${printTime(revokedAt)}`;
  return expiresAt && expiresAt.getTime() <= Date.now() ? "expired" : "active";
}
