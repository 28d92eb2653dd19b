import type { IncomingMessage } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { invalidField } from "../auth/errors.ts";
import { MAX_MESSAGE_BYTES } from "../rpc/limits.ts";
import { HttpError } from "./refusals.ts";

/** Stand in for a field's name where the fault is in the body or the query as a whole. */
export const WHOLE_BODY = "(body)";
export const WHOLE_QUERY = "(query)";

/** Named values of a body or a query; `undefined` for a name that is not there. */
export type Members = (name: string) => unknown;

/** Reads a whole body, or throws PAYLOAD_TOO_LARGE as soon as it is known to be too long. */
export function readBody(req: IncomingMessage): Promise<Uint8Array> {
  const tooLarge = new HttpError("PAYLOAD_TOO_LARGE");
  if (Number(req.headers["content-length"] ?? 0) > MAX_MESSAGE_BYTES) return Promise.reject(tooLarge);
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    req.on("data", (chunk: Uint8Array) => {
      size += chunk.byteLength;
      if (size > MAX_MESSAGE_BYTES) reject(tooLarge);
      else chunks.push(chunk);
    });
    req.once("end", () => resolve(Buffer.concat(chunks)));
    for (const event of ["error", "close"]) req.once(event, () => reject(new ConnectError("Canceled", Code.Canceled)));
  });
}

/** Reads the members of a JSON object or a form; text that is neither is INVALID_ARGUMENT. */
export function parseBody(body: Uint8Array, contentType: string): Members {
  if (body.byteLength === 0) return () => undefined;
  if (mediaType(contentType) === "application/json") return parseJson(decodeUtf8(body));
  return parseFormBody(body, contentType);
}

/** Reads the members of a form, the only thing that pages post. */
export function parseFormBody(body: Uint8Array, contentType: string): Members {
  if (body.byteLength === 0) return () => undefined;
  if (mediaType(contentType) !== "application/x-www-form-urlencoded") throw new HttpError("UNSUPPORTED_MEDIA_TYPE");
  return parseForm(decodeUtf8(body), WHOLE_BODY);
}

/** Reads `name=value` pairs as browsers write them; a name that comes twice has an array as its value. */
export function parseForm(text: string, whole: string): Members {
  const values = new Map<string, string[]>();
  for (const pair of text.split("&")) {
    const at = pair.indexOf("=");
    const name = decodePart(at < 0 ? pair : pair.slice(0, at), whole);
    const value = at < 0 ? "" : decodePart(pair.slice(at + 1), whole);
    const known = values.get(name);
    if (known) known.push(value);
    else values.set(name, [value]);
  }
  return (name) => {
    const found = values.get(name);
    return found?.length === 1 ? found[0] : found;
  };
}

function parseJson(text: string): Members {
  const value = parseJsonText(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("must be a JSON object");
  const members = new Map<string, unknown>(Object.entries(value));
  return (name) => members.get(name);
}

function parseJsonText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the body, which may hold a password.
    throw malformed("must be valid JSON");
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw malformed("must be valid UTF-8");
  }
}

// A `%` that begins no escape stands for itself, as in the URL standard; bytes that are no UTF-8 are refused.
function decodePart(text: string, whole: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " ").replace(/%(?![0-9a-f]{2})/gi, "%25"));
  } catch {
    throw malformed("must be valid UTF-8", whole);
  }
}

function malformed(description: string, whole = WHOLE_BODY): Error {
  return invalidField(whole, "MALFORMED", description);
}

function mediaType(contentType: string): string | undefined {
  return contentType.split(";", 1)[0]?.trim().toLowerCase();
}
