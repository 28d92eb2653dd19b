import { inspect } from "node:util";
import { ConnectError } from "@connectrpc/connect";
import { violationsOf } from "../../src/wire/error-details.ts";

/** The error that a call ends with. */
export async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => {
      throw new Error("the call succeeded");
    },
    (error) => ConnectError.from(error),
  );
}

/** The faulty fields that a refusal names, each with its reason. */
export async function faultsOf(call: Promise<unknown>): Promise<Record<string, string>> {
  const violations = violationsOf(await errorOf(call));
  return Object.fromEntries(violations.map(({ field, reason }) => [field, reason]));
}

/** New passwords that every way to choose one refuses to this person, each with the reason. */
export function refusedPasswords({ username, email }: { username: string; email: string }): [string, string][] {
  return [
    ["", "REQUIRED"],
    ["a\0long enough password", "MALFORMED"],
    ["short", "TOO_SHORT"],
    ["x".repeat(257), "TOO_LONG"],
    ["password123", "PASSWORD_TOO_COMMON"],
    [username.toUpperCase(), "PASSWORD_LIKE_ACCOUNT"],
    [email, "PASSWORD_LIKE_ACCOUNT"],
  ];
}

/** All that a refused caller is told, byte by byte; only the date may differ between two refusals. */
export async function statusOf(call: Promise<unknown>): Promise<string> {
  const { code, rawMessage, details, metadata } = await errorOf(call);
  const packed = details.map((detail) => {
    if ("desc" in detail) throw new Error("a detail was not encoded");
    return [detail.type, Buffer.from(detail.value).toString("hex")];
  });
  const headers = [...metadata].filter(([name]) => name !== "date");
  return JSON.stringify({ code, rawMessage, packed, headers });
}

/** All that a refused caller is told, as text that can be searched. */
export function describeRefusal({ code, message, details, metadata }: ConnectError): string {
  return inspect({ code, message, details: details.map(readable), metadata: [...metadata] }, { depth: 9 });
}

function readable(detail: object): string {
  return "value" in detail && detail.value instanceof Uint8Array
    ? Buffer.from(detail.value).toString()
    : inspect(detail);
}
