import { setTimeout as sleep } from "node:timers/promises";
import { createVerifier } from "../src/client/verifier-entry.ts";

// Another service: says when a token is good, and when it no longer is.

/** What the process that started this one asks for. */
export type Order = { readonly follow: Parameters<typeof createVerifier>[0] } | { readonly token: string };

/** What it is told: that a token is good, or when it was found not to be any more. */
export type Answer = "ready" | "good" | { readonly refusedAt: number };

let verifier: ReturnType<typeof createVerifier> | undefined;

process.on("message", async (order: Order) => {
  if ("follow" in order) {
    verifier = createVerifier(order.follow);
    await verifier.ready();
    return answer("ready");
  }
  if (!(await verifier?.verify(order.token))) throw new Error("the token is not good");
  answer("good");
  while (await verifier?.verify(order.token)) await sleep(1);
  answer({ refusedAt: performance.timeOrigin + performance.now() });
});
process.on("disconnect", () => process.exit());

function answer(told: Answer): void {
  process.send?.(told);
}
