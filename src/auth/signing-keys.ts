import { setTimeout } from "node:timers/promises";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { Log } from "../log.ts";
import { startPolling } from "../polling.ts";
import { AuthError } from "./errors.ts";
import { canSign, createKeyReader, type KeySchedule, type ScheduledKey } from "./key-reader.ts";
import { createKeyRotation, SHORT_LEAD_MS } from "./key-rotation.ts";
import type { KeyWrapping } from "./key-wrapping.ts";
import { type Polled, startPolled } from "./polled.ts";
import { type Algorithm, type SigningKey, sharedKey, type VerifyingKey } from "./signing-key.ts";

/** The keys that access tokens are signed and checked with, as the database has them within a second. */
export interface SigningKeys {
  /** What tokens are signed with now. Throws UNAVAILABLE when there is nothing yet. */
  current(): SigningKey;
  /** Its name; null when there is nothing yet. */
  currentKid(): string | null;
  /** The key that this name means, if it is accepted now. */
  find(kid: string): VerifyingKey | undefined;
  /** The key of JWT_SECRET, where there is one: HS256 tokens are accepted then. */
  readonly shared: SigningKey | null;
  /** Reads the keys again: a token may name one that another process has just made. */
  reread(): Promise<void>;
  /** Every key pair that is accepted now or will be, in the order in which they come into use. */
  list(): readonly ScheduledKey[];
  /** Makes a successor of the current key, as the operator wishes; one that is wanted at once is in use when this resolves. */
  rotate(when: { readonly atOnce: boolean }): Promise<void>;
  /** Accepts a key no more, as the operator wishes. */
  retire(kid: string): Promise<void>;
  close(): Promise<void>;
}

/** What signing keys rest on. */
export interface KeyFoundations {
  readonly db: Database;
  readonly wrapping: KeyWrapping;
  readonly log: Log;
  /** Whether this process makes keys and has them follow each other when it is time; false: only when it is told to. */
  readonly upkeep: boolean;
}

type KeySettings = Pick<Config, "jwtAlgorithm" | "jwtSecret" | "accessTokenTtl" | "signingKeyMaxAge">;

const UPKEEP_MS = 1000;

/** Loads the signing keys, with `upkeep` first making one if there is none, and reads them again each second. */
export async function watchSigningKeys(config: KeySettings, foundations: KeyFoundations): Promise<SigningKeys> {
  const { jwtAlgorithm: alg, accessTokenTtl, signingKeyMaxAge: maxAge } = config;
  const { db, wrapping, log, upkeep: keepsUp } = foundations;
  await using resources = new AsyncDisposableStack();
  const readKeys = createKeyReader(wrapping, log);
  const rotation = createKeyRotation({ alg, maxAge, accessTokenTtl }, { db, wrapping, readKeys });
  const polled = await startPolled(() => db.statement(readKeys), "signing keys", log);
  resources.defer(() => polled.close());
  const timetable = createTimetable(polled, alg);
  const upkeep = async () => {
    const isKept = await rotation.keepInUse(timetable);
    const wasDue = await rotation.whenDue(polled.value());
    if (isKept || wasDue) await polled.read();
  };

  if (keepsUp) {
    await upkeep();
    // The other processes publish a key of another algorithm by then.
    await timetable.untilUsed(timetable.current());
    const upkeeping = startPolling(UPKEEP_MS, () =>
      upkeep().catch((error) => log.error({ error }, "the signing keys cannot be kept up")),
    );
    resources.defer(() => upkeeping.close());
  }
  const owned = resources.move();
  const shared = config.jwtSecret && sharedKey(config.jwtSecret);
  const current = () => (alg === "HS256" ? shared : timetable.current());
  return {
    current() {
      const key = current();
      if (!key) throw new AuthError("UNAVAILABLE");
      return key;
    },
    currentKid: () => current()?.kid ?? null,
    find: (kid) => (shared?.kid === kid ? shared : timetable.accepted().find((key) => key.kid === kid)),
    shared,
    reread: polled.reread,
    list: timetable.accepted,
    async rotate(when) {
      await rotation.rotate(when);
      await polled.read();
      if (when.atOnce) await timetable.untilUsed(timetable.newest());
    },
    async retire(kid) {
      await db.statement((tx) => tx.keys.retire(kid));
      await polled.read();
      if (keepsUp) await upkeep();
    },
    close: () => owned.disposeAsync(),
  };
}

/** What the keys are for at this moment, by the database's clock: it dates them for every process alike. */
function createTimetable(polled: Polled<KeySchedule>, alg: Algorithm) {
  const time = () => polled.value().readAt + polled.age();
  const accepted = () => polled.value().keys.filter(({ retireAt }) => retireAt === null || retireAt > time());
  const signing = () => accepted().filter((key) => canSign(key, alg));
  const isUsed = ({ activeFrom }: ScheduledKey) => activeFrom <= time();
  return {
    time,
    accepted,
    /** The newest that is in use, or the first that will be. */
    current: () => signing().findLast(isUsed) ?? signing()[0],
    successor: () => signing().find((key) => !isUsed(key)),
    newest: () => signing().at(-1),
    /** Waits for a key that is used soon; more than once, since a newer reading may put the time back a little. */
    async untilUsed(key: ScheduledKey | undefined): Promise<void> {
      const latest = performance.now() + 2 * SHORT_LEAD_MS;
      while (key && !isUsed(key) && performance.now() < latest)
        await setTimeout(Math.min(key.activeFrom - time() + 1, SHORT_LEAD_MS));
    },
  };
}
