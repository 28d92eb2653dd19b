import { AuthError, type FieldViolation } from "../auth/errors.ts";
import { bearerOf } from "../token/bearer.ts";
import { isText, notText } from "../wire/faults.ts";
import { type Members, parseBody, parseForm, WHOLE_BODY, WHOLE_QUERY } from "./body.ts";
import type { Call } from "./route.ts";

/** Where a value came from, as a caller is told of its fault. */
export type Location = readonly [place: "body" | "query" | "path", ...name: string[]];

/** Reads what one request says, member by member; each reader is given the field's name in the .proto. */
export interface Input {
  /** The text of the first member that is there, by default the one named like the field; "" when none is. */
  text(field: string, ...members: readonly string[]): string;
  /** The text of the member named like the field; "" also when it, or the whole body, cannot be read. */
  textIfReadable(field: string): string;
  /** A boolean of the body or the query; `undefined` when neither has it. */
  flag(field: string): boolean | undefined;
  /** A parameter of the path. */
  pathText(field: string): string;
  /** A parameter of the path that is an id. */
  pathId(field: string): bigint;
  /** The header's bearer token, taken out of the header; "" when there is none. */
  takeBearer(): string;
  /** Throws INVALID_ARGUMENT if anything read so far was of a wrong type. */
  check(): void;
  /** Where a field was read from. */
  locate(field: string): Location;
}

interface Reading {
  readonly call: Call;
  readonly body: Members;
  readonly query: Members;
  readonly locations: Map<string, Location>;
  readonly violations: FieldViolation[];
}

/** Begins to read a request; its body is parsed when the first member is asked for. */
export function createInput(call: Call, parse: typeof parseBody = parseBody): Input {
  const reading: Reading = {
    call,
    body: lazily(() => parse(call.body, call.contentType)),
    query: lazily(() => parseForm(call.query, WHOLE_QUERY)),
    locations: new Map<string, Location>([
      [WHOLE_BODY, ["body"]],
      [WHOLE_QUERY, ["query"]],
    ]),
    violations: [],
  };
  return {
    text: (field, ...members) => readText(reading, field, members.length > 0 ? members : [field]),
    textIfReadable: (field) => readTextIfReadable(reading, field),
    flag: (field) => readFlag(reading, field),
    pathText: (field) => readPathText(reading, field),
    pathId: (field) => readPathId(reading, field),
    takeBearer: () => takeBearer(call.context.header),
    check: () => refuseFaults(reading.violations),
    locate: (field) => reading.locations.get(field) ?? ["body", field],
  };
}

function readText(reading: Reading, field: string, members: readonly string[]): string {
  const name = members.find((member) => isPresent(reading.body(member))) ?? field;
  const value = reading.body(name);
  reading.locations.set(field, ["body", name]);
  if (!isPresent(value)) return "";
  if (isText(value)) return value;
  reading.violations.push(notText(field));
  return "";
}

function readTextIfReadable(reading: Reading, field: string): string {
  try {
    const value = reading.body(field);
    return isText(value) ? value : "";
  } catch {
    return "";
  }
}

function readFlag(reading: Reading, field: string): boolean | undefined {
  const inBody = reading.body(field);
  const inQuery = reading.query(field);
  reading.locations.set(field, [isPresent(inQuery) && !isPresent(inBody) ? "query" : "body", field]);
  const said = [inBody, inQuery].filter(isPresent).map(parseFlag);
  if (said.includes(undefined)) return fault(reading, field, "must be true or false");
  if (new Set(said).size > 1) return fault(reading, field, "must be the same in the body and in the query");
  return said[0];
}

function readPathText({ call, locations }: Reading, field: string): string {
  locations.set(field, ["path", field]);
  return call.params[field] ?? "";
}

function readPathId(reading: Reading, field: string): bigint {
  const value = readPathText(reading, field);
  const id = /^-?\d{1,19}$/.test(value) ? BigInt(value) : undefined;
  if (id !== undefined && id === BigInt.asIntN(64, id)) return id;
  return fault(reading, field, "must be an id") ?? 0n;
}

function takeBearer(header: Headers): string {
  const token = bearerOf(header.get("authorization"));
  header.delete("authorization");
  return token ?? "";
}

function fault(reading: Reading, field: string, description: string): undefined {
  reading.violations.push({ field, reason: "MALFORMED", description });
}

function refuseFaults(violations: readonly FieldViolation[]): void {
  if (violations.length > 0) throw new AuthError("INVALID_ARGUMENT", { violations });
}

// A null counts as a member that is not there.
function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function parseFlag(value: unknown): boolean | undefined {
  if (typeof value === "object") return undefined;
  const text = String(value).toLowerCase();
  if (text === "true" || text === "1") return true;
  return text === "false" || text === "0" ? false : undefined;
}

function lazily(parse: () => Members): Members {
  let members: Members | undefined;
  return (name) => {
    members ??= parse();
    return members(name);
  };
}
