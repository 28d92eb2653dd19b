import bcrypt from "bcrypt";

/** One bcrypt operation: a new hash, or a comparison with one; bcrypt reads the first 72 bytes of `input`. */
export type HashTask = { readonly input: string } & ({ readonly cost: number } | { readonly hash: string });

/** The hash, or whether the input has the given one; and how long that took. */
export interface HashResult {
  readonly value: string | boolean;
  readonly ms: number;
}

/** Runs in a worker thread. */
export default function run(task: HashTask): HashResult {
  const begunAt = performance.now();
  const value = "cost" in task ? bcrypt.hashSync(task.input, task.cost) : bcrypt.compareSync(task.input, task.hash);
  return { value, ms: performance.now() - begunAt };
}
