import bcrypt from "bcrypt";
import type { Hashing } from "../src/auth/hashing.ts";

/** Hashes as most services do: everybody at once, on the threads that files and names share. */
export function createLibuvHashing(): Hashing {
  return {
    admit: () => ({
      run: (task) => ("cost" in task ? bcrypt.hash(task.input, task.cost) : bcrypt.compare(task.input, task.hash)),
      [Symbol.dispose]() {},
    }),
    retryAfter: () => null,
    load: () => ({ places: 0, waiting: 0, running: 0 }),
    close: async () => {},
  };
}
