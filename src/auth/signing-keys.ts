import { type Clock, now } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { StoredKey } from "../db/keys.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import { createKeyRotation } from "./key-rotation.ts";
import type { KeyWrapping } from "./key-wrapping.ts";
import { startPolled } from "./polled.ts";
import { type Algorithm, readSigningKey, type SigningKey, sharedKey } from "./signing-key.ts";

/** A signing key with its times, in milliseconds since 1970. */
export interface ScheduledKey extends SigningKey {
  readonly activeFrom: number;
  readonly retireAt: number | null;
}

/** The keys that access tokens are signed and checked with, as the database has them within a second. */
export interface SigningKeys {
  /** What tokens are signed with now. */
  current(): SigningKey;
  /** The key that this name means, if it is accepted now. */
  find(kid: string): SigningKey | undefined;
  /** Reads the keys again: a token may name one that another process has just made. */
  reread(): Promise<void>;
  /** Every key pair that is accepted now or will be, in the order in which they come into use. */
  list(): readonly ScheduledKey[];
  /** Makes a successor of the current key. */
  rotate(when: { readonly atOnce: boolean }): Promise<void>;
  /** Accepts a key no more. */
  retire(kid: string): Promise<void>;
  close(): Promise<void>;
}

/** What signing keys rest on. */
export interface KeyFoundations {
  readonly db: Database;
  readonly wrapping: KeyWrapping;
  readonly clock: Clock;
  readonly log: Log;
}

const ROTATION_CHECK_MS = 1000;

/** Loads the signing keys, first making one if there is none, and keeps them: read again each second, and rotated. */
export async function watchSigningKeys(
  config: Pick<Config, "jwtAlgorithm" | "jwtSecret" | "accessTokenTtl" | "signingKeyMaxAge">,
  { db, wrapping, clock, log }: KeyFoundations,
): Promise<SigningKeys> {
  const { jwtAlgorithm: alg, accessTokenTtl, signingKeyMaxAge: maxAge } = config;
  const shared = config.jwtSecret && sharedKey(config.jwtSecret);
  const rotation = alg === "HS256" ? null : createKeyRotation({ alg, maxAge, accessTokenTtl }, { db, wrapping, clock });
  const unwrapOnce = createUnwrapper(wrapping, log);
  const polled = await startPolled(
    async () => {
      const rows = (await db.statement((tx) => tx.keys.list())).filter(({ purpose }) => purpose === "sign_access");
      return { rows, keys: unwrapOnce(rows) };
    },
    "signing keys",
    log,
  );
  const isAccepted = ({ retireAt }: ScheduledKey) => retireAt === null || retireAt > now(clock);
  const accepted = () => polled.value().keys.filter(isAccepted);
  const rotateWhenDue = async () => {
    if (await rotation?.whenDue(polled.value().rows)) await polled.read();
  };

  await rotateWhenDue();
  const rotating = startPolling(ROTATION_CHECK_MS, () =>
    rotateWhenDue().catch((error) => log.error({ err: error }, "the signing key cannot be rotated")),
  );
  return {
    current() {
      if (alg === "HS256" && shared) return shared;
      const found = accepted().findLast((key) => key.alg === alg && key.activeFrom <= now(clock));
      if (!found) throw new Error(`there is no key for ${alg}`);
      return found;
    },
    find: (kid) => (shared?.kid === kid ? shared : accepted().find((key) => key.kid === kid)),
    reread: polled.reread,
    list: accepted,
    async rotate(when) {
      if (!rotation) throw new Error("JWT_ALGORITHM is HS256: its key is JWT_SECRET");
      await rotation.rotate(when);
      await polled.read();
    },
    async retire(kid) {
      await db.statement((tx) => tx.keys.retire(kid));
      await polled.read();
    },
    async close() {
      await rotating.close();
      await polled.close();
    },
  };
}

/** Reads rows; what was unwrapped once is remembered. */
function createUnwrapper(wrapping: KeyWrapping, log: Log): (rows: readonly StoredKey[]) => ScheduledKey[] {
  const unwrapped = new Map<string, SigningKey | null>();
  const unwrap = (row: StoredKey): SigningKey | null => {
    try {
      return readSigningKey(row.id, row.alg as Algorithm, wrapping.unwrap(row).key);
    } catch (error) {
      // Made by a process that has a newer SECRET_KEY: this one knows it after its next start.
      log.error({ err: error, kid: row.id }, "a signing key cannot be opened");
      return null;
    }
  };
  return (rows) =>
    rows.flatMap((row) => {
      if (!unwrapped.has(row.id)) unwrapped.set(row.id, unwrap(row));
      const key = unwrapped.get(row.id);
      const times = { activeFrom: row.activeFrom.getTime(), retireAt: row.retireAt?.getTime() ?? null };
      return key ? [{ ...key, ...times }] : [];
    });
}
