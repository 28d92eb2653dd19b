import type { Scope } from "./scope.ts";

/** One limit that a call counts under. */
export interface Limit {
  /** What is counted, and of whom; it names nobody. */
  readonly key: string;
  readonly most: number;
  readonly perMs: number;
  /** After `free` of them the next must wait, twice as long each time. */
  readonly delays?: { readonly free: number; readonly firstMs: number; readonly longestMs: number };
  /** Set: it counts only while the device is known, or only while it is not. */
  readonly ofKnownDevice?: boolean;
  /** Where such a limit is reached the call goes on, without what is limited. */
  readonly isOptional?: boolean;
}

/** The session that a device tells of, and the canonical login whose account it must belong to. */
export interface Device {
  readonly sessionId: string;
  readonly login: string;
}

/** What a call was counted under, and when: for giving it back. */
export interface Counted {
  readonly keys: readonly string[];
  readonly at: string;
}

/** What came of a call under its limits. */
export interface Count extends Counted {
  /** For how many milliseconds yet each limit refuses it, by key; where one does, it is counted nowhere. */
  readonly waits: Readonly<Record<string, number>>;
  /** Whether others have reached a limit in the same moment, so that it was not counted there. */
  readonly isIncomplete: boolean;
  /** Whether it was counted under the optional limits too, as under all or none of them. */
  readonly isWithinOptional: boolean;
}

/** Of a call without limits. */
export const NOT_COUNTED: Counted = { keys: [], at: "epoch" };

const MS = "interval '1 ms'";

/** Milliseconds until another time may stand beside `times`, by the limit `w`. */
const waitBeside = (times: string) => `(
  SELECT coalesce(greatest(0,
    CASE WHEN count(c) >= w.most THEN extract(epoch FROM (array_agg(c ORDER BY c DESC))[w.most] + w.span - now()) END,
    CASE WHEN count(c) >= w.free THEN extract(epoch FROM max(c) - now()
      + least(w."longestMs", w."firstMs" * 2 ^ least(count(c) - w.free, 30)) * ${MS}) END) * 1000, 0)
  FROM unnest(${times}) c WHERE c > now() - w.span)`;

const KNOWN =
  "EXISTS (SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $3 AND $4 IN (u.username_key, u.email_key))";

// A limit that is seen to be reached costs no write and no lock. One that others reach in the same moment is seen under
// its row's lock; these are taken in the order of keys, as by GIVE_BACK.
const COUNT = `WITH wanted AS (
    SELECT l.*, coalesce(l."isOptional", false) AS optional, l."perMs" * ${MS} AS span
    FROM jsonb_to_recordset($2) AS l(key text, most integer, "perMs" float8, free integer, "firstMs" float8,
      "longestMs" float8, "ofKnownDevice" boolean, "isOptional" boolean)
    WHERE coalesce(l."ofKnownDevice" = ${KNOWN}, true)),
  standing AS (
    SELECT w.key, w.optional, ${waitBeside("t.counted_at")} AS wait
    FROM wanted w LEFT JOIN throttle t ON t.key = w.key AND t.key = ANY ($1)),
  counted AS (
    INSERT INTO throttle AS t (key, counted_at, expires_at)
    SELECT w.key, ARRAY[now()], date_bin(w.span, now(), 'epoch') + 2 * w.span FROM wanted w
    WHERE NOT EXISTS (SELECT 1 FROM standing WHERE wait > 0 AND (w.optional OR NOT optional)) ORDER BY w.key
    ON CONFLICT (key) DO UPDATE SET expires_at = greatest(t.expires_at, excluded.expires_at), counted_at = (
      SELECT array_agg(c) FROM wanted w, unnest(t.counted_at || now()) c WHERE w.key = t.key AND c > now() - w.span)
    WHERE (SELECT ${waitBeside("t.counted_at")} FROM wanted w WHERE w.key = t.key) <= 0
    RETURNING t.key)
  SELECT now()::text AS at, coalesce((SELECT array_agg(key) FROM counted), '{}') AS keys,
    coalesce((SELECT jsonb_object_agg(key, wait) FROM standing WHERE wait > 0 AND NOT optional), '{}') AS waits,
    EXISTS (SELECT 1 FROM wanted WHERE NOT optional AND key NOT IN (SELECT key FROM counted)) AS "isIncomplete",
    NOT EXISTS (SELECT 1 FROM wanted WHERE optional AND key NOT IN (SELECT key FROM counted)) AS "isWithinOptional"`;

/** CTE that holds the rows of what was counted, while `condition` is true; `keys` is a parameter. */
export const heldCounts = (keys: string, condition = "true") =>
  `SELECT t.key FROM throttle t WHERE t.key = ANY (${keys}) AND ${condition} ORDER BY t.key FOR UPDATE`;

/** Takes away one time in each row of the CTE `held`; `at` is a parameter. */
export const giveBackHeld = (at: string) => `UPDATE throttle t SET counted_at =
    t.counted_at[:array_position(t.counted_at, ${at}) - 1] || t.counted_at[array_position(t.counted_at, ${at}) + 1:]
  FROM held WHERE t.key = held.key AND ${at} = ANY (t.counted_at)`;

/** Statements on `throttle`. */
export function createThrottleStore({ query }: Scope) {
  return {
    /** Counts a call under all its limits, or under none when one of them is reached. */
    async count(limits: readonly Limit[], device: Device | null): Promise<Count> {
      const wanted = limits.map(({ delays, ...limit }) => ({ ...limit, ...delays }));
      const [row] = await query<Count>(
        COUNT,
        ...[limits.map(({ key }) => key), JSON.stringify(wanted), device?.sessionId ?? null, device?.login ?? ""],
      );
      if (!row) throw new Error("a SELECT gave no row");
      return row;
    },

    async giveBack({ keys, at }: Counted): Promise<void> {
      if (keys.length === 0) return;
      await query(`WITH held AS (${heldCounts("$1")}) ${giveBackHeld("$2::timestamptz")} RETURNING 1`, keys, at);
    },

    async forget(keys: readonly string[]): Promise<void> {
      await query(`WITH held AS (${heldCounts("$1")}) DELETE FROM throttle t USING held WHERE t.key = held.key`, keys);
    },
  };
}
