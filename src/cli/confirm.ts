import { createInterface } from "node:readline/promises";

/** Throws where nobody can be asked. */
export function requireTerminal(): void {
  if (!process.stdin.isTTY) throw new Error("there is no terminal to ask at: give --yes");
}

/** Asks at the terminal; anything but y or yes is no. */
export async function confirm(question: string): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const left = new Promise<null>((resolve) => reader.once("close", () => resolve(null)));
    const answer = await Promise.race([reader.question(`${question} (y/N) `), left]);
    // Who leaves by Ctrl-C or Ctrl-D is still on the question's line.
    if (answer === null) process.stderr.write("\n");
    return /^y(es)?$/i.test(answer?.trim() ?? "");
  } finally {
    reader.close();
  }
}
