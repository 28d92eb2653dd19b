import type { KeyObject } from "node:crypto";
import type { Stores } from "../db/database.ts";
import type { StoredKey } from "../db/keys.ts";
import type { Log } from "../log.ts";
import type { KeyWrapping } from "./key-wrapping.ts";
import {
  type Algorithm,
  isPairAlgorithm,
  type PairAlgorithm,
  readPublicKey,
  readSigningKey,
  type SigningKey,
  type VerifyingKey,
} from "./signing-key.ts";

/** A key pair with its times, in milliseconds since 1970. */
export interface ScheduledKey extends VerifyingKey {
  /** null: SECRET_KEY does not open it, so that this process can only check what others sign with it. */
  readonly privateKey: KeyObject | null;
  readonly activeFrom: number;
  readonly retireAt: number | null;
}

/** Signing keys that are not retired, in the order in which they come into use. */
export interface KeySchedule {
  readonly keys: readonly ScheduledKey[];
  /** When they were read, by the database's clock; 0 when there are none. */
  readonly readAt: number;
}

/** Reads the signing keys. */
export type KeyReader = (stores: Pick<Stores, "keys">) => Promise<KeySchedule>;

interface OpenedRow {
  readonly wrapped: Buffer;
  /** The same key under the present SECRET_KEY, where only a previous one opens it. */
  readonly renewed: Buffer | null;
  /** null: not even the public half can be read. */
  readonly key: Pick<ScheduledKey, "kid" | "alg" | "publicKey" | "privateKey"> | null;
}

/** Whether this process can sign by an algorithm with a key. */
export function canSign(key: ScheduledKey, alg: Algorithm): key is ScheduledKey & SigningKey {
  return key.alg === alg && key.privateKey !== null;
}

/** Builds the reader. A key is opened once, and wrapped anew if only a previous SECRET_KEY opens it. */
export function createKeyReader(wrapping: KeyWrapping, log: Log): KeyReader {
  let known: ReadonlyMap<string, OpenedRow> = new Map();
  return async ({ keys }) => {
    const rows = (await keys.list()).filter(isPair);
    const before = known;
    const opened = new Map(
      rows.map((row) => [row.id, stillOpen(row, before.get(row.id)) ?? openRow(row, wrapping, log)]),
    );
    known = opened;
    for (const [id, row] of opened) if (row.renewed && row !== before.get(id)) await keys.rewrap(id, row.renewed);
    return {
      keys: rows.flatMap((row) => schedule(row, opened.get(row.id)?.key ?? null)),
      readAt: rows[0]?.readAt.getTime() ?? 0,
    };
  };
}

type PairRow = StoredKey & { readonly alg: PairAlgorithm };

function isPair(row: StoredKey): row is PairRow {
  return row.purpose === "sign_access" && isPairAlgorithm(row.alg);
}

// One that is open stays so when a process with a newer SECRET_KEY wraps it anew.
function stillOpen({ wrapped }: PairRow, known: OpenedRow | undefined): OpenedRow | null {
  return known && (known.key?.privateKey || known.wrapped.equals(wrapped)) ? known : null;
}

function openRow(row: PairRow, wrapping: KeyWrapping, log: Log): OpenedRow {
  const { id: kid, alg, purpose, wrapped } = row;
  const opened = wrapping.unwrap(row);
  if (opened) {
    const renewed = opened.isOutdated ? wrapping.wrap(kid, purpose, opened.key) : null;
    return { wrapped, renewed, key: readSigningKey(kid, alg, opened.key) };
  }
  const publicKey = readPublicKey(kid, row.publicJwk);
  const effect = publicKey ? "tokens that it signed are accepted" : "tokens that it signed are refused";
  log.warn({ kid }, `SECRET_KEY does not open a signing key: ${effect}`);
  return { wrapped, renewed: null, key: publicKey && { kid, alg, publicKey, privateKey: null } };
}

function schedule({ activeFrom, retireAt }: PairRow, key: OpenedRow["key"]): ScheduledKey[] {
  return key ? [{ ...key, activeFrom: activeFrom.getTime(), retireAt: retireAt?.getTime() ?? null }] : [];
}
