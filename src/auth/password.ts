import { dictionary } from "@zxcvbn-ts/language-common";
import { countCodePoints, FieldFault } from "./fields.ts";

/** Longest password, in code points. */
const MAX_PASSWORD = 256;

let commonPasswords: ReadonlySet<string> | undefined;

function isCommon(password: string): boolean {
  // Not at import: not every command of the operator reads passwords.
  commonPasswords ??= new Set(dictionary["passwords-common"].map((word) => String(word)));
  return commonPasswords.has(password);
}

/** Refuses a password that is no well-formed text of a sensible length; nothing is said about its quality. */
export function parseGivenPassword(password: string): string {
  if (password === "") throw new FieldFault("REQUIRED", "must be given");
  if (!password.isWellFormed() || /[\0\uFFFD]/.test(password))
    throw new FieldFault("MALFORMED", "must be well-formed text without NUL");
  if (countCodePoints(password.normalize("NFC")) > MAX_PASSWORD)
    throw new FieldFault("TOO_LONG", `must be at most ${MAX_PASSWORD} characters`);
  return password;
}

/** Reads a password that somebody wants to have. No composition rules (NIST SP 800-63B section 3.1.1.2). */
export function parseNewPassword(
  password: string,
  minLength: number,
  account: { readonly username: string; readonly email: string },
): string {
  const normal = parseGivenPassword(password).normalize("NFC");
  if (countCodePoints(normal) < minLength)
    throw new FieldFault("TOO_SHORT", `must be at least ${minLength} characters`);
  const folded = normal.toLowerCase();
  const isAccount = (name: string) => name.normalize("NFC").trim().toLowerCase() === folded;
  if (isAccount(account.username) || isAccount(account.email)) {
    throw new FieldFault("PASSWORD_LIKE_ACCOUNT", "must not be the username or the e-mail address");
  }
  if (isCommon(folded)) throw new FieldFault("PASSWORD_TOO_COMMON", "is one of the most common passwords");
  return password;
}
