import type { Scope } from "./scope.ts";
import { REMEMBERED } from "./secret-tokens.ts";

/** What is kept by settings; times in milliseconds. */
export interface PurgeSettings {
  readonly auditRetention: number;
  readonly accountDisclosure: "documented" | "hidden";
}

/** Which rows of a table are over: SQL of its row `t`. */
interface Purge {
  /** By what rows grow old. A large table has an index in this order, so that a batch reads no more than it deletes. */
  readonly age: string;
  /** What is older than this is over; a function where a setting says so. */
  readonly before: string | ((settings: PurgeSettings) => string);
  /** What must be so beside. */
  readonly only?: string | ((settings: PurgeSettings) => string);
}

// What an admin has decided on stays: a block, and a role, which may be that of the last admin.
const UNCLAIMED = `t.unclaimed AND t.is_active AND t.roles = '{}'`;
const UNLINKED = "NOT EXISTS (SELECT 1 FROM secret_tokens s WHERE s.user_id = t.id AND s.expires_at > now())";

// An account with a link that still works stays too; but where accounts are hidden, that it does would tell whoever asked
// for the link that the address had none before.
const abandoned = ({ accountDisclosure }: PurgeSettings) =>
  accountDisclosure === "hidden" ? UNCLAIMED : `${UNCLAIMED} AND ${UNLINKED}`;

/** Every table that is cleaned up. Nothing in it may still be in force, for callers or for another process. */
const PURGES = {
  users: { age: "t.created_at", before: "now() - interval '7 d'", only: abandoned },
  sessions: { age: "least(t.ended_at, t.expires_at)", before: "now() - interval '90 d'" },
  secret_tokens: { age: "t.expires_at", before: `now() - ${REMEMBERED}` },
  revocations: { age: "t.expires_at", before: "now()" },
  mails: { age: "t.created_at", before: "now() - interval '30 d'", only: "t.give_up_at < now()" },
  keys: { age: "t.retire_at", before: "now() - interval '30 d'", only: "t.purpose = 'sign_access'" },
  throttle: { age: "t.expires_at", before: "now()" },
  service_keys: { age: "least(t.revoked_at, t.expires_at)", before: "now() - interval '90 d'" },
  audit_events: { age: "t.created_at", before: (kept) => `now() - ${kept.auditRetention} * interval '1 ms'` },
} satisfies Record<string, Purge>;

/** A table that is cleaned up. */
export type PurgedTable = keyof typeof PURGES;

/** All of them, in the order in which they are. */
export const PURGED_TABLES = Object.keys(PURGES) as PurgedTable[];

/** Most rows that are deleted at once. */
export const PURGE_BATCH = 1_000;

/** Statements that delete what is over. */
export function createPurgeStore({ query }: Scope) {
  return {
    /** Deletes the oldest that are over, but for those that somebody holds; gives how many. For a transaction by itself. */
    async purge(table: PurgedTable, settings: PurgeSettings): Promise<number> {
      const { age, before, only = "true" }: Purge = PURGES[table];
      const read = (text: NonNullable<Purge["only"]>) => (typeof text === "string" ? text : text(settings));
      const isOver = `${age} < ${read(before)} AND ${read(only)}`;
      const held = await query<{ place: string }>(
        `SELECT t.ctid::text AS place FROM ${table} t WHERE ${isOver} ORDER BY ${age} LIMIT ${PURGE_BATCH}
         FOR UPDATE SKIP LOCKED`,
      );
      if (held.length === 0) return 0;
      // Asked once more, in a statement of its own: only that sees what was committed just before the rows were held,
      // such as a fresh link.
      const [gone] = await query<{ count: number }>(
        `WITH gone AS (DELETE FROM ${table} t WHERE t.ctid = ANY ($1::tid[]) AND ${isOver} RETURNING 1)
         SELECT count(*)::int AS count FROM gone`,
        held.map(({ place }) => place),
      );
      return gone?.count ?? 0;
    },
  };
}
