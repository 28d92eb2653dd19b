import { createInterface } from "node:readline/promises";

/** Throws where nobody can be asked. */
export function requireTerminal(): void {
  if (!process.stdin.isTTY) throw new Error("there is no terminal to ask at: give --yes");
}

/** Asks at the terminal; anything but y or yes is no. */
export async function confirm(question: string): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const interrupted = new Promise<string>((resolve) => reader.once("close", () => resolve("")));
    return /^y(es)?$/i.test((await Promise.race([reader.question(`${question} (y/N) `), interrupted])).trim());
  } finally {
    reader.close();
  }
}
