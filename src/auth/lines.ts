import type { Standing } from "./place.ts";

/** All who have a place: in a line for each source, and the sources take turns. */
export interface Lines {
  /** Everybody, whether they wait or not. */
  readonly size: number;
  readonly sources: number;
  lengthOf(source: string): number;
  add(standing: Standing): void;
  /** Whether it was there. */
  remove(standing: Standing): boolean;
  /** Operations that would come before those of one more place of a source. */
  countAhead(source: string): number;
  /** Takes whoever waits and is next. */
  next(): Standing | null;
  /** The newest for whom nothing was done yet, of the longest line of those that are longer than `length`. */
  newestBeyond(length: number): Standing | null;
  all(): Standing[];
}

/** Builds empty lines. */
export function createLines(): Lines {
  // In the order of their turns.
  const lines = new Map<string, Standing[]>();
  const lineOf = (source: string): readonly Standing[] => lines.get(source) ?? [];
  let size = 0;

  const putLast = (source: string) => {
    const line = lines.get(source);
    if (!line) return;
    lines.delete(source);
    lines.set(source, line);
  };

  return {
    get size() {
      return size;
    },
    get sources() {
      return lines.size;
    },
    lengthOf: (source) => lineOf(source).length,

    add(standing) {
      size += 1;
      const line = lines.get(standing.source);
      if (line) line.push(standing);
      else lines.set(standing.source, [standing]);
    },

    remove(standing) {
      const line = lines.get(standing.source);
      const index = line?.indexOf(standing) ?? -1;
      if (!line || index < 0) return false;
      size -= 1;
      if (line.length === 1) lines.delete(standing.source);
      else line.splice(index, 1);
      return true;
    },

    countAhead(source) {
      const own = operationsOf(lineOf(source));
      let ahead = own;
      // In the turns that its own operations take, every other source has as many.
      // In a flood this is asked thousands of times a second: entries would be most of what is allocated then.
      lines.forEach((line, other) => {
        if (other !== source) ahead += Math.min(operationsOf(line), own + 1);
      });
      return ahead;
    },

    next() {
      for (const line of lines.values()) {
        const begun = line.find(({ isBegun, waiting }) => isBegun && waiting);
        if (begun) return begun;
      }
      for (const [source, line] of lines) {
        const first = line.find(({ waiting }) => waiting);
        if (!first) continue;
        putLast(source);
        return first;
      }
      return null;
    },

    newestBeyond(length) {
      let longest: readonly Standing[] = [];
      for (const line of lines.values()) if (line.length > Math.max(length, longest.length)) longest = line;
      return longest.findLast(({ isBegun }) => !isBegun) ?? null;
    },
    all: () => [...lines.values()].flat(),
  };
}

function operationsOf(line: readonly Standing[]): number {
  let sum = 0;
  for (const { operations } of line) sum += operations;
  return sum;
}
