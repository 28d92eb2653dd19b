import { OPERATOR, SERVICE, type Trace } from "../db/audit-recording.ts";
import type { Database, Stores } from "../db/database.ts";
import { RETIREMENT_MARGIN_MS } from "../db/keys.ts";
import { canSign, type KeyReader, type KeySchedule, type ScheduledKey } from "./key-reader.ts";
import type { KeyWrapping } from "./key-wrapping.ts";
import { type Algorithm, generateSigningKey, isPairAlgorithm, type PairAlgorithm } from "./signing-key.ts";

/** When signing keys follow each other; times in milliseconds. */
export interface RotationRules {
  readonly alg: Algorithm;
  readonly maxAge: number;
  readonly accessTokenTtl: number;
}

/** What rotation rests on. */
export interface RotationFoundations {
  readonly db: Database;
  readonly wrapping: KeyWrapping;
  readonly readKeys: KeyReader;
}

/** What a process signs with, now and later; the time is the database's. */
export interface KeyUse {
  readonly current: () => ScheduledKey | undefined;
  readonly successor: () => ScheduledKey | undefined;
  readonly time: () => number;
}

/** How long a key is published before it is used, so that every verifier has it by then. */
const LEAD_MS = 10 * 60_000;
/** The same where a key is needed at once: every process has read it by then, and publishes it. */
export const SHORT_LEAD_MS = 2_000;
/** For how much longer a key is kept that is in use although it is to be retired, and when that has to be done. */
const KEEP_MS = 10 * 60_000;
const KEEP_AGAIN_MS = 60_000;

/** Makes signing keys follow each other in the database. */
export function createKeyRotation(
  { alg, maxAge, accessTokenTtl: tokenTtl }: RotationRules,
  { db, wrapping, readKeys }: RotationFoundations,
) {
  /** How long before its use a successor is wanted by now; null: none is. */
  const wantedLead = ({ keys, readAt }: KeySchedule): number | null => {
    if (keys.length === 0) return 0;
    if (!keys.some((key) => canSign(key, alg))) return SHORT_LEAD_MS;
    const newest = keys.findLast((key) => key.alg === alg);
    return newest && newest.activeFrom + maxAge <= readAt ? LEAD_MS : null;
  };

  /** Whoever else would add one waits, and then sees whether it is still wanted. */
  const add = async (
    pair: PairAlgorithm,
    leadOf: (schedule: KeySchedule) => number | null,
    trace: Trace,
  ): Promise<void> => {
    const { kid: id, publicJwk, der } = await generateSigningKey(pair);
    const wrapped = wrapping.wrap(id, "sign_access", der);
    await db.transaction(async (stores: Stores) => {
      await stores.keys.lock();
      const leadMs = leadOf(await readKeys(stores));
      if (leadMs === null) return;
      await stores.keys.supersede({ leadMs, tokenTtl, alg });
      await stores.keys.insertSigning({ id, alg, publicJwk, wrapped }, leadMs, trace);
    });
  };

  return {
    /** Adds a key if there is none to sign with, or the newest is too old; says whether anything was to be done. */
    async whenDue(schedule: KeySchedule): Promise<boolean> {
      if (isPairAlgorithm(alg)) {
        if (wantedLead(schedule) === null) return false;
        await add(alg, wantedLead, SERVICE);
        return true;
      }
      // With HS256 nothing will follow the pairs that there are.
      if (!schedule.keys.some(({ retireAt }) => retireAt === null)) return false;
      await db.statement((stores) => stores.keys.supersede({ leadMs: 0, tokenTtl, alg }));
      return true;
    },

    /** Adds a successor as the operator wishes, used from ten minutes on, or as soon as every process has it. */
    async rotate({ atOnce }: { readonly atOnce: boolean }): Promise<void> {
      if (!isPairAlgorithm(alg)) throw new Error(`JWT_ALGORITHM is ${alg}: its key is JWT_SECRET`);
      await add(alg, () => (atOnce ? SHORT_LEAD_MS : LEAD_MS), OPERATOR);
    },

    /**
     * Puts off the end of the key that signs here, to the end of its tokens: in a rolling restart another process may
     * have made it end for an algorithm, a lifetime of tokens or a SECRET_KEY that is not this one's. Says whether
     * there was need.
     */
    async keepInUse({ current, successor, time }: KeyUse): Promise<boolean> {
      const key = current();
      const next = successor();
      const end = (next?.activeFrom ?? time() + KEEP_AGAIN_MS) + tokenTtl + RETIREMENT_MARGIN_MS;
      if (!key || key.retireAt === null || key.retireAt >= end) return false;
      const until = new Date(next ? end : end + KEEP_MS);
      await db.statement((stores) => stores.keys.keep(key.kid, until));
      return true;
    },
  };
}
