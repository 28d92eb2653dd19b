import type { Command } from "commander";
import type { Config } from "../config.ts";
import type { ServiceKey, ServiceScope } from "../db/service-keys.ts";
import type { createServiceKeyOperator } from "../rpc/service-key-operator.ts";
import { withApp } from "./app.ts";
import { REPORT_OPTION, SERVICE_KEY_OPTIONS } from "./options.ts";
import { alignColumns, printTime } from "./print.ts";
import type { CommandRow } from "./program.ts";

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
    if (json) return print(JSON.stringify(issued));
    process.stderr.write(`created ${name}, id ${issued.id}; this is the only time that the key is shown:\n`);
    print(issued.key);
  };
  const list = async (command: Command): Promise<void> => {
    const keys = await ask((operator) => operator.list());
    print(command.opts<JsonOption>().json ? JSON.stringify({ service_keys: keys.map(toJson) }) : table(keys));
  };
  const revoke = async ({ args: [id = ""] }: Command): Promise<void> => {
    if (!(await ask((operator) => operator.revoke(id))))
      throw new Error("there is no such key, or it was revoked before");
    print(`revoked ${id}`);
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
      options: [REPORT_OPTION],
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

function toJson({ id, name, scopes, createdAt, expiresAt, revokedAt, lastUsedAt }: ServiceKey): object {
  return {
    ...{ id, name, scopes, create_time: createdAt, expire_time: expiresAt },
    ...{ revoke_time: revokedAt, last_use_time: lastUsedAt },
  };
}

function table(keys: readonly ServiceKey[]): string {
  const never = (time: Date | null) => (time ? printTime(time) : "never");
  const rows = keys.map((key) => [
    ...[key.id, key.name, key.scopes.join(", "), printTime(key.createdAt), never(key.expiresAt)],
    ...[never(key.lastUsedAt), key.revokedAt ? `revoked ${printTime(key.revokedAt)}` : ""],
  ]);
  return alignColumns([["ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USE", ""], ...rows]);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
