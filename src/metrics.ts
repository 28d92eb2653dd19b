/**
 * Why a call that wanted a share of what there is little of got none: there was no place for it, its turn would have come
 * too late for it, its place went to one of a shorter line, its time was over when its turn came, or its caller went away
 * before that.
 */
export const REFUSALS = ["full", "late", "displaced", "expired", "abandoned"] as const;
export type Refusal = (typeof REFUSALS)[number];

/** How a call has ended. */
export interface EndedCall {
  readonly rpc: string;
  readonly protocol: string;
  readonly code: string;
  /** "" when there is none. */
  readonly reason: string;
  readonly ms: number;
}

/** What the process can be asked at any time. */
export interface Measured {
  /** Calls that have a place, those of them that wait for a thread, and those at work in one. */
  readonly hashing: () => { readonly places: number; readonly waiting: number; readonly running: number };
  /** Strangers' calls that cost no hash: that have a place, and that are at work with the database. */
  readonly strangers: () => { readonly places: number; readonly running: number };
  /** Connections to the database that are in use and idle, and statements that wait for one. */
  readonly connections: () => { readonly used: number; readonly idle: number; readonly waiting: number };
  /** Audit events of refusals: in the database, summed up among others, lost, and not written yet. */
  readonly audit: () => Readonly<Record<"written" | "summed" | "lost" | "waiting", number>>;
  /** By how many milliseconds this machine's clock is behind the database's. */
  readonly clockBehindMs: () => number;
  /** How the outbox of all processes is getting on. */
  readonly mails: () => Promise<{
    readonly waiting: number;
    readonly oldestSeconds: number;
    readonly givenUp: number;
  }>;
}

/** Where the parts of the service tell how they are getting on. What callers send never goes in. */
export interface Metrics {
  callEnded(call: EndedCall): void;
  /** An operation was done; how long it waited for a thread and how long it ran there. */
  hashed(waitMs: number, runMs: number): void;
  hashRefused(why: Refusal): void;
  /** A stranger's call that costs no hash was refused. */
  strangerRefused(why: Refusal): void;
  /** How many rows of each table a clean-up deleted, and of which tables some may be left. */
  cleanedUp(run: { readonly deleted: Readonly<Record<string, number>>; readonly failed: readonly string[] }): void;
  /** Says where to look when somebody asks. */
  observe(measured: Measured): void;
}

/** For a process that nobody asks. */
export const NO_METRICS: Metrics = {
  callEnded() {},
  hashed() {},
  hashRefused() {},
  strangerRefused() {},
  cleanedUp() {},
  observe() {},
};
