import bcrypt from "bcrypt";

/** One bcrypt operation; `input` is at most 72 bytes of ASCII. */
export type HashTask = { readonly input: string; readonly started: SharedArrayBuffer } & (
  | { readonly cost: number }
  | { readonly hash: string }
);

/** Runs in a worker thread: gives the hash, or whether the input has the given one. */
export default function run(task: HashTask): string | boolean {
  Atomics.store(new Int32Array(task.started), 0, 1);
  return "cost" in task ? bcrypt.hashSync(task.input, task.cost) : bcrypt.compareSync(task.input, task.hash);
}
