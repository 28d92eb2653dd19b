import { createHmac, randomBytes } from "node:crypto";
import type { HashPlace } from "./hash-place.ts";
import type { Hashing } from "./hashing.ts";
import type { KeyRing } from "./keys.ts";

/** Stored forms of passwords: made, compared and renewed. */
export interface PasswordHashes {
  /** Takes the place that `hash` and `compare` ask for; see Hashing. */
  readonly admit: Hashing["admit"];
  /** Gives what is kept in `users.password_hash`. */
  hash(password: string, place: HashPlace): Promise<string>;
  /** Takes the same time for null, when there is no account or no password. */
  compare(password: string, stored: string | null, place: HashPlace): Promise<boolean>;
  /** Whether a stored form has another scheme, pepper or cost than this service writes. */
  isOutdated(stored: string): boolean;
}

const BCRYPT = /^\$2[ab]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const MIN_COST = 4;
const MAX_COST = 15;

/** A stored form: `bcrypt-hmac-sha384:<pepper id>:<bcrypt>`, or plain bcrypt as other systems have it. */
const SCHEME = "bcrypt-hmac-sha384";

interface Parsed {
  readonly pepperId: string | null;
  readonly bcrypt: string;
  readonly cost: number;
}

function parseStored(stored: string): Parsed | null {
  const parts = stored.split(":");
  const [written, pepperId] = parts.length === 3 && parts[0] === SCHEME ? [parts[2], parts[1]] : [stored, null];
  // PHP's name for the same algorithm, which the library does not know.
  const bcrypt = written?.replace(/^\$2y\$/, "$2b$");
  const cost = Number(BCRYPT.exec(bcrypt ?? "")?.[1]);
  // Not only bounded for sense: a planted cost of 31 would keep a thread busy for days.
  return bcrypt !== undefined && pepperId !== undefined && cost >= MIN_COST && cost <= MAX_COST
    ? { pepperId, bcrypt, cost }
    : null;
}

/** Hashes and compares with bcrypt over an HMAC: bcrypt alone ignores everything after byte 72. */
export function createPasswordHashes(keys: KeyRing, hashing: Hashing, cost: number): PasswordHashes {
  const prepare = (password: string, pepper: Buffer) =>
    createHmac("sha384", pepper).update(password.normalize("NFC")).digest("base64");
  const current = keys.pepper;
  const hash = async (password: string, place: HashPlace) =>
    `${SCHEME}:${current.id}:${await place.run({ input: prepare(password, current.key), cost })}`;
  const dummy = makeDummy(cost);

  return {
    admit: hashing.admit,
    hash,
    async compare(password, stored, place) {
      const parsed = stored === null ? null : parseStored(stored);
      const pepper = parsed?.pepperId ? keys.peppers.get(parsed.pepperId) : current.key;
      const { bcrypt, pepperId } = (pepper && parsed) || { bcrypt: dummy, pepperId: current.id };
      const input = pepperId === null ? password : prepare(password, pepper ?? current.key);
      const same = await place.run({ input, hash: bcrypt });
      return same === true && parsed !== null && pepper !== undefined;
    },
    isOutdated(stored) {
      const parsed = parseStored(stored);
      return parsed?.pepperId !== current.id || parsed.cost !== cost;
    },
  };
}

/** A bcrypt form of nobody's password, which costs as much to compare with as any other. */
function makeDummy(cost: number): string {
  const saltAndHash = randomBytes(40).toString("base64").slice(0, 53).replaceAll("+", ".");
  return `$2b$${String(cost).padStart(2, "0")}$${saltAndHash}`;
}
