import { type Command, Option } from "commander";
import type { SigningKeys } from "../auth/signing-keys.ts";
import type { Config } from "../config.ts";
import { KEYS_OPTION } from "./options.ts";
import { alignColumns, printLine, printTime } from "./print.ts";
import type { CommandRow } from "./program.ts";
import { withApp } from "./with-app.ts";

/** The commands on signing keys. */
export function createKeyCommands(readConfig: () => Config): readonly CommandRow[] {
  const withKeys = <T>(run: (keys: SigningKeys) => T | Promise<T>): Promise<T> =>
    withApp(readConfig(), ({ signingKeys }) => run(signingKeys));

  const list = (command: Command) =>
    withKeys((keys) => {
      const rows = describe(keys);
      printLine(command.opts<{ json?: boolean }>().json ? JSON.stringify({ keys: rows }) : table(rows));
    });
  const rotate = (command: Command) =>
    withKeys(async (keys) => {
      const { now: atOnce = false } = command.opts<{ now?: boolean }>();
      await keys.rotate({ atOnce });
      const successor = describe(keys).at(-1);
      printLine(`${successor?.kid} signs from ${successor?.activeFrom} on`);
    });
  const retire = ({ args: [kid = ""] }: Command) =>
    withKeys(async (keys) => {
      const key = describe(keys).find((row) => row.kid === kid && row.activeFrom !== null);
      if (!key) throw new Error("there is no such signing key");
      if (key.state === "signs")
        throw new Error("this key signs now: make a successor with `latchkey keys rotate --now` before");
      await keys.retire(kid);
      printLine(`retired ${kid}: no token that it signed is accepted any more`);
    });

  return [
    {
      usage: "keys list",
      summary: "Lists the keys that access tokens are signed with: in use, to follow, and still accepted.",
      options: [KEYS_OPTION],
      example: "latchkey keys list",
      run: list,
    },
    {
      usage: "keys rotate",
      summary:
        "Makes a successor of the key that signs now. It is used from ten minutes on, when every verifier has it.",
      options: [new Option("--now", "use it in two seconds: when the key before may be known to others")],
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
  readonly state: "signs" | "follows" | "accepted";
  /** null: by settings alone, as is its end. */
  readonly activeFrom: string | null;
  readonly retireAt: string | null;
}

/** Every key in the order in which they come into use, that of HS256 first. */
function describe(keys: SigningKeys): Row[] {
  const current = keys.currentKid();
  const print = (time: number | null) => (time === null ? null : printTime(new Date(time)));
  const stateOf = (kid: string, activeFrom: number) => {
    if (kid === current) return "signs";
    return activeFrom > Date.now() ? "follows" : "accepted";
  };
  const { shared } = keys;
  const pairs = keys.list().map(({ kid, alg, activeFrom, retireAt }) => ({
    ...({ kid, alg, state: stateOf(kid, activeFrom) } as const),
    ...{ activeFrom: print(activeFrom), retireAt: print(retireAt) },
  }));
  return shared
    ? [{ kid: shared.kid, alg: shared.alg, state: stateOf(shared.kid, 0), activeFrom: null, retireAt: null }, ...pairs]
    : pairs;
}

function table(rows: readonly Row[]): string {
  const cells = rows.map(({ kid, alg, state, activeFrom, retireAt }) => [
    ...[kid, alg, state],
    ...[activeFrom ?? "", retireAt ?? ""],
  ]);
  return alignColumns([["KID", "ALGORITHM", "STATE", "FROM", "UNTIL"], ...cells]);
}
