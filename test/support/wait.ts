import { setImmediate as nextTurn } from "node:timers/promises";

/** Resolves when the condition holds; rejects when it does not within `ms`. */
export async function waitUntil(condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain for ${condition}`);
    await nextTurn();
  }
}
