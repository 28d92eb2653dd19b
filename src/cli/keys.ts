import { type Command, Option } from "commander";
import type { SigningKeys } from "../auth/signing-keys.ts";
import type { Config } from "../config.ts";
import { withApp } from "./app.ts";
import { REPORT_OPTION } from "./options.ts";
import { alignColumns, printTime } from "./print.ts";
import type { CommandRow } from "./program.ts";

/** The commands on signing keys. */
export function createKeyCommands(readConfig: () => Config): readonly CommandRow[] {
  const withKeys = <T>(run: (keys: SigningKeys) => T | Promise<T>): Promise<T> =>
    withApp(readConfig(), ({ signingKeys }) => run(signingKeys));

  const list = (command: Command) =>
    withKeys((keys) => {
      const rows = describe(keys);
      print(command.opts<{ json?: boolean }>().json ? JSON.stringify({ keys: rows }) : table(rows));
    });
  const rotate = (command: Command) =>
    withKeys(async (keys) => {
      const { now: atOnce = false } = command.opts<{ now?: boolean }>();
      await keys.rotate({ atOnce });
      const successor = keys.list().at(-1);
      if (!successor) throw new Error("the successor is not there");
      print(`${successor.kid} signs from ${printTime(new Date(successor.activeFrom))} on`);
    });
  const retire = ({ args: [kid = ""] }: Command) =>
    withKeys(async (keys) => {
      if (!keys.list().some((key) => key.kid === kid)) throw new Error("there is no such signing key");
      if (keys.current().kid === kid)
        throw new Error("this key signs now: make a successor with `latchkey keys rotate --now` before");
      await keys.retire(kid);
      print(`retired ${kid}: no token that it signed is accepted any more`);
    });

  return [
    {
      usage: "keys list",
      summary: "Lists the keys that access tokens are signed with: in use, to come, and still accepted.",
      options: [REPORT_OPTION],
      example: "latchkey keys list",
      run: list,
    },
    {
      usage: "keys rotate",
      summary:
        "Makes a successor of the key that signs now. It is used from ten minutes on, when every verifier has it.",
      options: [new Option("--now", "use it at once: when the key before may be known to others")],
      example: "latchkey keys rotate",
      run: rotate,
    },
    {
      usage: "keys retire <kid>",
      summary: "Accepts no token any more that this key has signed. Whoever has one must refresh.",
      example: "latchkey keys retire S0Sd3YqVhmmuf2gbdUxRk7ATvtkIvQjhXGlTFtTbZWY",
      run: retire,
    },
  ];
}

interface Row {
  readonly kid: string;
  readonly alg: string;
  readonly state: string;
  readonly active_from: string;
  readonly retire_at: string | null;
}

function describe(keys: SigningKeys): Row[] {
  const current = keys.current().kid;
  return keys.list().map(({ kid, alg, activeFrom, retireAt }) => ({
    ...{ kid, alg, state: kid === current ? "signs" : activeFrom > Date.now() ? "to come" : "accepted" },
    active_from: printTime(new Date(activeFrom)),
    retire_at: retireAt === null ? null : printTime(new Date(retireAt)),
  }));
}

function table(rows: readonly Row[]): string {
  const cells = rows.map(({ kid, alg, state, active_from, retire_at }) => [
    kid,
    alg,
    state,
    active_from,
    retire_at ?? "",
  ]);
  return alignColumns([["KID", "ALGORITHM", "STATE", "FROM", "UNTIL"], ...cells]);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
