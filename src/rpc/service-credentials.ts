import { unescape as decodeForm } from "node:querystring";
import { joinServiceKey, serviceKeyId } from "../auth/service-key.ts";

/** Where a service puts its key beside a person's bearer. */
export const KEY_HEADER = "x-latchkey-key";

/**
 * The service key that speaks for a call: as bearer, by HTTP Basic with the key's id as user (RFC 7617; the password is
 * the key, or what stands in it after its id), or in a header beside a person's bearer. null when there is none, and ""
 * for HTTP Basic without one, before whatever is beside it.
 */
export function presentedKey(header: Pick<Headers, "get">): string | null {
  return keyInAuthorization(header.get("authorization") ?? "") ?? header.get(KEY_HEADER);
}

/** Every service key that a call presents, the one that speaks for it first; what is no key in that header is given too. */
export function presentedKeys(header: Pick<Headers, "get">): readonly string[] {
  const [own, beside] = [keyInAuthorization(header.get("authorization") ?? ""), header.get(KEY_HEADER)];
  return [...new Set([...(own ? [own] : []), ...(beside === null ? [] : [beside])])];
}

/** Whether `authorization` itself holds a service key, rather than a person's access token or nothing. */
export function speaksForService(header: Headers): boolean {
  return keyInAuthorization(header.get("authorization") ?? "") !== null || !header.has("authorization");
}

function keyInAuthorization(value: string): string | null {
  const [, scheme = "", credentials = ""] = /^(bearer|basic)(?: +(.*))?$/i.exec(value) ?? [];
  if (scheme.toLowerCase() === "basic") return basicKey(credentials);
  return credentials.startsWith("lk_") ? credentials : null;
}

// RFC 6749 section 2.3.1 has both halves form-encoded: some clients write `_` as %5F then.
function basicKey(credentials: string): string {
  const [, user = "", password = ""] = /^([^:]*):(.*)$/s.exec(Buffer.from(credentials, "base64").toString()) ?? [];
  const [id, secret] = [decodeForm(user), decodeForm(password)];
  const key = serviceKeyId(secret) === id ? secret : joinServiceKey(id, secret);
  // Anything else might hold what no header can.
  return serviceKeyId(key) === null ? "" : key;
}
