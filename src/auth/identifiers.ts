import { domainToASCII } from "node:url";
import type { Identifiers, UserKey } from "../db/users.ts";
import { countCodePoints, FieldFault, parseOptionalText, parseText } from "./fields.ts";

/** Longest login and e-mail address (RFC 5321 section 4.5.3.1.3 less the angle brackets), in bytes. */
export const MAX_LOGIN_BYTES = 254;

const USERNAME_MIN = 2;
const USERNAME_MAX = 64;
const LOCAL_PART_MAX = 64;
const LOCALE_MAX = 35;
const ROLES_MAX = 16;
const ID_MAX = BigInt(Number.MAX_SAFE_INTEGER);

// RFC 5321 section 4.1.2: Dot-string. Quoted local parts are refused: nobody has one, and mail software disagrees on them.
const LOCAL_PART = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i;
// Before IDN mapping, which would drop invisible characters and decode `%`.
const TYPED_DOMAIN = /^[\p{L}\p{M}\p{N}-]+(\.[\p{L}\p{M}\p{N}-]+)+$/u;
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** One of the two names of an account: as typed, and the form that is unique. */
export interface Name {
  readonly typed: string;
  readonly key: string;
}

/** Reads a username: 2 to 64 letters, digits, `.`, `_`, `-`; not one that a script would pass as an option. */
export function parseUsername(text: string): Name {
  const typed = parseText(text, { bytes: 1024 }).normalize("NFC").trim();
  const length = countCodePoints(typed);
  if (length === 0) throw new FieldFault("REQUIRED", "must be given");
  if (length < USERNAME_MIN) throw new FieldFault("TOO_SHORT", `must be at least ${USERNAME_MIN} characters`);
  if (length > USERNAME_MAX) throw new FieldFault("TOO_LONG", `must be at most ${USERNAME_MAX} characters`);
  // Or it could not be given as the login.
  if (Buffer.byteLength(typed) > MAX_LOGIN_BYTES)
    throw new FieldFault("TOO_LONG", `must be at most ${MAX_LOGIN_BYTES} bytes`);
  // Full-width letters, ligatures, letters that show nothing and the like would make two accounts that read the same.
  if (
    !/^[\p{L}\p{Nd}._][\p{L}\p{Nd}._-]*$/u.test(typed) ||
    INVISIBLE.test(typed) ||
    typed.normalize("NFKC") !== typed
  ) {
    throw new FieldFault("MALFORMED", "must hold only letters, digits and . _ -, and not begin with -");
  }
  return { typed, key: foldCase(typed) };
}

/** Reads an e-mail address with an ASCII local part. */
export function parseEmail(text: string): Name {
  const typed = parseText(text, { bytes: MAX_LOGIN_BYTES + 64 })
    .normalize("NFC")
    .trim();
  if (typed === "") throw new FieldFault("REQUIRED", "must be given");
  if (Buffer.byteLength(typed) > MAX_LOGIN_BYTES)
    throw new FieldFault("TOO_LONG", `must be at most ${MAX_LOGIN_BYTES} bytes`);
  const at = typed.lastIndexOf("@");
  const local = typed.slice(0, Math.max(at, 0));
  const domain = toAsciiDomain(typed.slice(at + 1));
  const key = `${local.toLowerCase()}@${domain}`;
  if (!LOCAL_PART.test(local) || local.length > LOCAL_PART_MAX || domain === null || key.length > MAX_LOGIN_BYTES) {
    throw new FieldFault("MALFORMED", "must be an e-mail address");
  }
  return { typed, key };
}

/** Joins the two names of an account. */
export function toIdentifiers(username: Name, email: Name): Identifiers {
  return { username: username.typed, usernameKey: username.key, email: email.typed, emailKey: email.key };
}

/** What a login is looked up by; null when no account can have it. */
export function parseLogin(login: string): UserKey | null {
  try {
    return login.includes("@") ? { emailKey: parseEmail(login).key } : { usernameKey: parseUsername(login).key };
  } catch (error) {
    if (error instanceof FieldFault) return null;
    throw error;
  }
}

/** The canonical form of the beginning of a username or address. */
export function foldPrefix(prefix: string): string {
  const typed = parseOptionalText(prefix, { bytes: MAX_LOGIN_BYTES }).normalize("NFC").trim();
  const at = typed.lastIndexOf("@") + 1;
  // Stored addresses have their domain in ASCII; what is still no domain stays as it is.
  const domain = at > 0 ? toAsciiDomain(typed.slice(at)) : null;
  return foldCase(domain === null ? typed : typed.slice(0, at) + domain);
}

/** Reads a language tag (RFC 5646); empty means English. */
export function parseLocale(text: string): string {
  if (text === "") return "en";
  parseOptionalText(text, { codePoints: LOCALE_MAX });
  try {
    return Intl.getCanonicalLocales(text)[0] ?? "en";
  } catch {
    throw new FieldFault("MALFORMED", "must be a BCP 47 language tag");
  }
}

/** Reads a whole set of roles: sorted, each once. */
export function parseRoles(roles: readonly string[]): string[] {
  if (roles.length > ROLES_MAX) throw new FieldFault("TOO_LONG", `must be at most ${ROLES_MAX} roles`);
  if (!roles.every((role) => /^[a-z][a-z0-9_-]{0,31}$/.test(role))) {
    throw new FieldFault("MALFORMED", "must be names of a lower-case letter and up to 31 letters, digits, _ and -");
  }
  return [...new Set(roles)].sort();
}

/** Reads the id of an account. */
export function parseUserId(id: bigint): number {
  if (id === 0n) throw new FieldFault("REQUIRED", "must be given");
  if (id < 0n || id > ID_MAX) throw new FieldFault("OUT_OF_RANGE", "must be above 0 and below 2^53");
  return Number(id);
}

/** Reads a UUID in text form. */
export function parseUuid(text: string): string {
  if (text === "") throw new FieldFault("REQUIRED", "must be given");
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new FieldFault("MALFORMED", "must be a UUID");
  return text.toLowerCase();
}

function toAsciiDomain(domain: string): string | null {
  if (!TYPED_DOMAIN.test(domain) || INVISIBLE.test(domain)) return null;
  const labels = domainToASCII(domain).toLowerCase().split(".");
  // A last label of digits alone would be an IP address.
  const valid = labels.length >= 2 && labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? "");
  return valid ? labels.join(".") : null;
}

// By way of upper case, so that dotless i, long s and final sigma are the letters they look like; by code point, so
// that neither context nor the machine's locale plays a part.
function foldCase(text: string): string {
  return [...text].map((letter) => letter.toLowerCase().toUpperCase().toLowerCase()).join("");
}
