import { isIP } from "node:net";
import { createAddressRange } from "./address-range.ts";
import { createSecret, type Secret } from "./secret.ts";

/** A value that a setting cannot have; the message completes "SETTING …" and never repeats the value. */
export class FaultyValue extends Error {}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads a whole number within bounds. */
export function parseInteger(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) throw new FaultyValue(`must be a whole number from ${least} to ${most}`);
    return value;
  };
}

/** Reads a duration such as `30s`, in milliseconds. */
export function parseDuration(least: number, most: number): (text: string) => number {
  return (text) => {
    const [, count, unit] = /^(\d{1,10})(ms|s|m|h|d)$/.exec(text) ?? [];
    if (count === undefined || unit === undefined)
      throw new FaultyValue("must be a whole number and ms, s, m, h or d, such as 30s");
    const value = Number(count) * (UNITS[unit] ?? 0);
    if (value < least || value > most)
      throw new FaultyValue(`must be between ${printDuration(least)} and ${printDuration(most)}`);
    return value;
  };
}

function printDuration(ms: number): string {
  const [unit, size] = Object.entries(UNITS).findLast(([, size]) => ms > 0 && ms % size === 0) ?? ["s", 1];
  return `${ms / size}${unit}`;
}

/** Reads `true` or `false`. */
export function parseBoolean(text: string): boolean {
  if (text !== "true" && text !== "false") throw new FaultyValue("must be true or false");
  return text === "true";
}

/** Reads one of a few words. */
export function parseOneOf<const T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined)
      throw new FaultyValue(`must be ${words.length === 1 ? words[0] : `one of ${words.join(", ")}`}`);
    return found;
  };
}

/** Reads an absolute URL with one of the given protocols (`http:`) and a host, which `hostless` ones may leave out. */
export function parseUrl(protocols: readonly string[], { hostless = false } = {}): (text: string) => string {
  return (text) => {
    const known = protocols.some((protocol) => text.toLowerCase().startsWith(`${protocol}//`));
    if (!known || !URL.canParse(text) || (new URL(text).hostname === "" && !hostless)) {
      const kinds = protocols.map((protocol) => `${protocol}//`).join(" or ");
      throw new FaultyValue(`must be a URL that begins with ${kinds}${hostless ? "" : " and a host"}`);
    }
    if (!isDecodable(text)) throw new FaultyValue("must have each % that is meant as such written as %25");
    return text;
  };
}

/** Reads a comma list of the origins of web pages, each as browsers write it (RFC 6454 section 6.2). */
export function parseOrigins(text: string): readonly string[] {
  const origins = text.split(",").map((part) => {
    const origin = part.trim();
    if (!/^https?:\/\/[^\s/?#@\\*]+$/i.test(origin) || !URL.canParse(origin))
      throw new FaultyValue("must be a comma list of origins such as https://app.example.com, with no path and no *");
    return new URL(origin).origin;
  });
  return [...new Set(origins)];
}

/** Reads a comma list of IP addresses and CIDR blocks. */
export function parseAddressBlocks(text: string): readonly string[] {
  const blocks = text.split(",").map((part) => part.trim());
  try {
    createAddressRange(blocks);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FaultyValue("must be a comma list of addresses and CIDR blocks such as 10.0.0.0/8,2001:db8::1");
  }
  return blocks;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether a host is this machine: by name, by address, or as the folder of a socket. */
export function isHere(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[?::1\]?|\/.*)$/.test(host);
}

/** Reads an address to listen on. */
export function parseHost(text: string): string {
  const isName = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text) && !/^[\d.]+$/.test(text);
  if (isIP(text) === 0 && !isName) throw new FaultyValue("must be an IP address or a host name");
  return text;
}

/** Reads a sender such as `Latchkey <no-reply@example.com>` or a bare address. */
export function parseMailbox(text: string): string {
  const [, name = "", address] = /^(.*)<(.+)>$/.exec(text) ?? [];
  const isName = /^(?:[^<>@,;:"\p{Cc}]*|"[^"\\\p{Cc}]*" *)$/u.test(name);
  if (!isName || !/^[^<>@,;:"\s]+@[^<>@,;:"\s]+$/.test(address ?? text))
    throw new FaultyValue("must be an address such as Latchkey <no-reply@example.com>");
  return text;
}

const SECRET_KEY_BYTES = 32;

/** Reads a key of at least 32 bytes. */
export function parseSecretKey(text: string): Secret {
  if (Buffer.byteLength(text) < SECRET_KEY_BYTES) throw new FaultyValue(`must be at least ${SECRET_KEY_BYTES} bytes`);
  if (new Set(text).size < 8) throw new FaultyValue("is too simple: make one with `openssl rand -base64 48`");
  return createSecret(text);
}

/** Reads a comma list of such keys; a key may hold commas itself, and what makes no list is one key. */
export function parseSecretKeys(text: string): readonly Secret[] {
  const parts = text.split(",").map((part) => part.trim());
  const isList = parts.includes("") || parts.every((part) => Buffer.byteLength(part) >= SECRET_KEY_BYTES);
  return isList ? parts.map(parseSecretKey) : [parseSecretKey(text)];
}
