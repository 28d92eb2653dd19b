import { type Clock, now } from "../clock.ts";
import type { Database } from "../db/database.ts";
import type { StoredKey } from "../db/keys.ts";
import type { KeyWrapping } from "./key-wrapping.ts";
import { generateSigningKey, type PairAlgorithm } from "./signing-key.ts";

/** When signing keys follow each other; times in milliseconds. */
export interface RotationRules {
  readonly alg: PairAlgorithm;
  readonly maxAge: number;
  readonly accessTokenTtl: number;
}

/** How long a key is published before it is used, so that every verifier has it by then. */
const LEAD_MS = 10 * 60_000;

/** Adds signing keys to the database. */
export function createKeyRotation(
  { alg, maxAge, accessTokenTtl }: RotationRules,
  { db, wrapping, clock }: { readonly db: Database; readonly wrapping: KeyWrapping; readonly clock: Clock },
) {
  const newest = (keys: readonly StoredKey[]) => keys.findLast((key) => key.alg === alg && key.retireAt === null);
  const isDue = (keys: readonly StoredKey[]) => {
    const key = newest(keys);
    return !key || key.activeFrom.getTime() + maxAge <= now(clock);
  };

  /** Whoever else would add one waits, and then sees whether it is still wanted. */
  const add = async (leadMs: number, isWanted: (keys: readonly StoredKey[]) => boolean): Promise<void> => {
    const { kid: id, publicJwk, der } = await generateSigningKey(alg);
    const wrapped = wrapping.wrap(id, "sign_access", der);
    await db.transaction(async ({ keys }) => {
      await keys.lock();
      if (!isWanted(await keys.list())) return;
      await keys.succeed({ id, purpose: "sign_access", alg, publicJwk, wrapped }, leadMs, LEAD_MS + accessTokenTtl);
    });
  };

  return {
    /** Adds a successor if the newest key is too old, or none has the algorithm; says whether there was need. */
    async whenDue(keys: readonly StoredKey[]): Promise<boolean> {
      if (!isDue(keys)) return false;
      // Another algorithm was asked for: who asks may not be able to read the one before.
      await add(newest(keys) ? LEAD_MS : 0, isDue);
      return true;
    },

    /** Adds a successor: used from ten minutes on, or at once. */
    rotate: ({ atOnce }: { readonly atOnce: boolean }): Promise<void> => add(atOnce ? 0 : LEAD_MS, () => true),
  };
}
