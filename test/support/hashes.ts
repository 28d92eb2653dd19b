import { Piscina } from "piscina";
import type { HashTask } from "../../src/auth/hash-worker.ts";

/** One bcrypt operation that a thread was given. */
export interface SeenHash {
  readonly pool: Piscina;
  readonly task: HashTask;
}

/** The bcrypt operations that begin while something runs, which can watch them grow. */
export async function hashesOf(run: (seen: readonly SeenHash[]) => Promise<unknown>): Promise<SeenHash[]> {
  const seen: SeenHash[] = [];
  const original = Piscina.prototype.run;
  Piscina.prototype.run = function (this: Piscina, task: HashTask, ...options) {
    seen.push({ pool: this, task });
    return original.call(this, task, ...options);
  };
  try {
    await run(seen);
  } finally {
    Piscina.prototype.run = original;
  }
  return seen;
}

/** A hash of PASSWORD as another system may have left it: plain bcrypt, at a cost that takes half a second. */
export const SLOW_HASH = "$2b$13$3H2xlaa4WVS9iAAbyAWbX.VxkTKLRarmdX9ToG/ISg6ZxH13p1cSe";
