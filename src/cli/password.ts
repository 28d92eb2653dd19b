import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";

/** Reads a new password: asked for twice on a terminal, without showing it; else all of stdin, less one newline at its end. */
export async function readPassword(): Promise<string> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).replace(/\r?\n$/, "");
  const [first, second] = await askHidden(["Password: ", "Again: "]);
  if (first !== second) throw new Error("the two passwords differ");
  return first ?? "";
}

// One reader for all questions: what is typed ahead belongs to the next.
async function askHidden(prompts: readonly string[]): Promise<string[]> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  const lines = reader.on("SIGINT", () => reader.close())[Symbol.asyncIterator]();
  try {
    const answers: string[] = [];
    for (const prompt of prompts) {
      process.stderr.write(prompt);
      const { value, done } = await lines.next();
      process.stderr.write("\n");
      if (done) throw new Error("no password was given");
      answers.push(value);
    }
    return answers;
  } finally {
    reader.close();
  }
}
