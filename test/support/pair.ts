import type { Config } from "../../src/config.ts";
import { startService, type TestService } from "./service.ts";

/** Two processes of one service: each with its pool, its memory and its sockets, over one database. */
export interface Pair {
  readonly first: TestService;
  readonly second: TestService;
  stop(): Promise<void>;
}

/** Starts both; they share the clock and the mailbox too. */
export async function startPair(config: Partial<Config> = {}): Promise<Pair> {
  const first = await startService({ config });
  const { database, clock, mails } = first;
  const second = await startService({ config, database, clock, mails });
  return {
    first,
    second,
    async stop() {
      await second.stop();
      await first.stop();
    },
  };
}
