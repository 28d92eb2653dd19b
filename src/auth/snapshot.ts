import type { Position } from "../db/revocations.ts";

/** A `pg_snapshot` that has been read: transactions below `xmin`, and those below `xmax` that did not run, are visible. */
export interface Snapshot {
  readonly xmin: bigint;
  readonly xmax: bigint;
  readonly running: ReadonlySet<bigint>;
}

const CURSOR = /^(-?\d{1,20}\.[0-9A-F]{8})\.(\d{1,20}:\d{1,20}:(?:\d{1,20}(?:,\d{1,20})*)?)$/;

/** A position as it is told to watchers: `<system identifier>.<timeline>.<snapshot>`. */
export function toCursor({ history, snapshot }: Position): string {
  return `${history}.${snapshot}`;
}

/** The snapshot of a cursor; null when it is not one, or of another history than `position`, or from its future. */
export function readCursor(cursor: string, position: Position): Snapshot | null {
  const [, history, text] = CURSOR.exec(cursor) ?? [];
  if (text === undefined || history !== position.history) return null;
  const snapshot = readSnapshot(text);
  return snapshot.xmin <= snapshot.xmax && snapshot.xmax <= readSnapshot(position.snapshot).xmax ? snapshot : null;
}

/** Whether what a transaction wrote could be seen at a snapshot. */
export function isVisible(tx: bigint, { xmin, xmax, running }: Snapshot): boolean {
  return tx < xmin || (tx < xmax && !running.has(tx));
}

/** Whether PostgreSQL takes a text for a `pg_snapshot`. */
export function isSnapshot(text: string): boolean {
  if (!/^[1-9]\d{0,17}:[1-9]\d{0,17}:(?:[1-9]\d{0,17}(?:,[1-9]\d{0,17})*)?$/.test(text)) return false;
  const { xmin, xmax, running } = readSnapshot(text);
  const inOrder = [xmin, ...running].every((tx, index, all) => index === 0 || tx >= (all[index - 1] ?? tx));
  return inOrder && xmin <= xmax && [...running].every((tx) => tx < xmax);
}

function readSnapshot(text: string): Snapshot {
  const [xmin = "", xmax = "", list = ""] = text.split(":");
  const running = new Set(list.split(",").filter(Boolean).map(BigInt));
  return { xmin: BigInt(xmin), xmax: BigInt(xmax), running };
}
