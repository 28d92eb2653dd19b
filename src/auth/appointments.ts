import { siteOf } from "../address-network.ts";

/**
 * When those are told to come again for whom there was no place: each source at a time of its own, in the order in which
 * they were turned away first.
 */
export interface Appointments {
  /** In how many milliseconds a source should come that was given a time before; null: it was not. */
  of(source: string): number | null;
  /**
   * Gives a source a time: `eachMs` after all others, or sooner when many never come, and not before `soonestMs`; in how
   * many milliseconds it should come. Null: too many of its site (an IPv4 address, an IPv6 /48) have one already.
   */
  give(source: string, soonestMs: number, eachMs: number): number | null;
  /**
   * How many others should come about now and have not, and up to `next` of those who come after them; 0 for a source
   * that should come now itself.
   */
  expected(source: string, next: number): number;
  /** A source has come in: it needs its appointment no more. */
  meet(source: string): void;
  /** Forgets them all. */
  clear(): void;
}

const SHORTEST_MS = 1_000;
const LONGEST_MS = 60_000;
// What is later than this is too uncertain to be told: many never come, and operations become faster or slower.
const SURE_MS = 5_000;
// How much earlier or later somebody may come than at their time.
const EARLY_MS = 100;
const LATE_MS = 5_000;
const MOST = 10_000;
// Whoever has a /48 has 65,536 sources, and could have all the times there are.
const MOST_OF_SITE = 100;
// How fast it is learnt how many of the times are used, and how few of them are believed to be.
const SMOOTHING = 0.02;
const LEAST_USED = 0.02;

/** Builds an empty book of appointments; `now` gives a steady time in milliseconds. */
export function createAppointments(now: () => number): Appointments {
  // Both in the order of their times.
  const coming = new Map<string, number>();
  const due = new Map<string, number>();
  // How many of each site are in these.
  const sites = new Map<string, number>();
  let last = 0;
  let used = 1;
  let nextChange = Number.POSITIVE_INFINITY;

  const advance = (time: number) => {
    if (time < nextChange) return;
    for (const [source, at] of coming) {
      if (at - EARLY_MS > time) break;
      coming.delete(source);
      due.set(source, at);
    }
    for (const [source, at] of due) {
      if (at + LATE_MS > time) break;
      learn(false);
      forget(source);
    }
    nextChange = Math.min(firstOf(coming) - EARLY_MS, firstOf(due) + LATE_MS);
  };

  const learn = (isUsed: boolean) => {
    used += (Number(isUsed) - used) * SMOOTHING;
  };

  const forget = (source: string) => {
    if (!coming.delete(source) && !due.delete(source)) return;
    const site = siteOf(source);
    const left = countOf(site) - 1;
    if (left > 0) sites.set(site, left);
    else sites.delete(site);
  };

  const countOf = (site: string): number => sites.get(site) ?? 0;

  const inMs = (at: number, time: number): number => {
    const ms = at - time;
    // Whoever is to come later asks again before, so that they find the room that others left.
    return ms > SURE_MS ? spread(Math.min(LONGEST_MS, 0.75 * ms), 2 / 3, 1) : Math.max(SHORTEST_MS, ms);
  };

  return {
    of(source) {
      const time = now();
      advance(time);
      if (due.delete(source)) {
        // Who came in vain is waited for anew.
        due.set(copyOf(source), time);
        return SHORTEST_MS;
      }
      const at = coming.get(source);
      return at === undefined ? null : inMs(at, time);
    },
    give(source, soonestMs, eachMs) {
      const time = now();
      if (countOf(siteOf(source)) >= MOST_OF_SITE) return null;
      const free = last + eachMs * Math.max(LEAST_USED, used);
      const at = Math.max(free, time + Math.max(SHORTEST_MS, soonestMs));
      if (coming.size + due.size >= MOST) return inMs(Number.POSITIVE_INFINITY, time);
      const copy = copyOf(source);
      const site = siteOf(copy);
      coming.set(copy, at);
      sites.set(site, countOf(site) + 1);
      nextChange = Math.min(nextChange, at - EARLY_MS);
      last = at;
      return inMs(at, time);
    },
    expected(source, next) {
      advance(now());
      return due.has(source) ? 0 : due.size + Math.min(next, coming.size);
    },
    meet(source) {
      if (due.has(source)) learn(true);
      forget(source);
    },
    clear() {
      coming.clear();
      due.clear();
      sites.clear();
      last = 0;
      used = 1;
    },
  };
}

/** When one of many should come again who would all have to wait so long; they must not come at the same moment. */
export function spreadRetryMs(waitMs: number): number {
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, spread(waitMs, 0.5, 1.5)));
}

function spread(ms: number, least: number, most: number): number {
  return ms * (least + (most - least) * Math.random());
}

function firstOf(times: ReadonlyMap<string, number>): number {
  for (const at of times.values()) return at;
  return Number.POSITIVE_INFINITY;
}

/** The source may be a part of a long header, which would be kept with it. */
function copyOf(source: string): string {
  return Buffer.from(source).toString();
}
