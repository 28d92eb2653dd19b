import type { HashResult, HashTask } from "./hash-worker.ts";

/** The place of one call among those whose passwords are hashed; see Place. */
export interface HashPlace extends Disposable {
  run(task: HashTask): Promise<HashResult["value"]>;
}
