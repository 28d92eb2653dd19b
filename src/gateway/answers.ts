import type { Reason } from "../auth/errors.ts";
import { faultList } from "../wire/faults.ts";
import type { Location } from "./input.ts";
import type { Refusal } from "./refusals.ts";
import type { Answer } from "./route.ts";

// Every answer is about one person or holds tokens: no cache may keep it.
const JSON_HEADERS = {
  "content-type": "application/json",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
};

/** An answer of JSON. */
export function jsonAnswer(status: number, body: object, headers: Answer["headers"] = {}): Answer {
  return { status, headers: { ...JSON_HEADERS, ...headers }, body: JSON.stringify(body) };
}

/** An answer that sends a browser to a page with GET. */
export function seeOther(location: string): Answer {
  return { status: 303, headers: { location, "cache-control": "no-store" }, body: "" };
}

/** A refusal as JSON, with the route's status for its reason and the places that its fields were read from. */
export function refusalAnswer(
  refusal: Refusal,
  locate: (field: string) => Location = (field) => ["body", field],
  statuses: Partial<Record<Reason, number>> = {},
): Answer {
  const status = new Map(Object.entries(statuses)).get(refusal.code) ?? refusal.status;
  const detail = status === 422 ? faultList(refusal.violations, refusal.message, locate) : refusal.message;
  const challenge = status === 401 ? { "www-authenticate": "Bearer" } : {};
  return jsonAnswer(status, { detail, code: refusal.code }, { ...challenge, ...refusal.headers });
}
