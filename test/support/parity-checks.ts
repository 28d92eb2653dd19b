import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { expect } from "chai";
import { authorization, expectJson, type HttpAnswer, postJson, send } from "./http.ts";
import type { Case, Plan, RestForm } from "./parity-kit.ts";
import type { TestService } from "./service.ts";
import { type Outcome, type Refused, type WayIn, waysIn } from "./ways-in.ts";

/** Code and message of each reason (api.md section 2). */
const REASONS: Readonly<Record<string, readonly [code: string, message: string]>> = {
  INVALID_ARGUMENT: ["InvalidArgument", "Invalid request"],
  EMAIL_TAKEN: ["AlreadyExists", "Account with this email already exists"],
  USERNAME_TAKEN: ["AlreadyExists", "Account with this username already exists"],
  INVALID_CREDENTIALS: ["Unauthenticated", "Incorrect username or password"],
  EMAIL_NOT_CONFIRMED: ["FailedPrecondition", "Email not confirmed"],
  USER_BLOCKED: ["PermissionDenied", "User is blocked"],
  INVALID_TOKEN: ["Unauthenticated", "Invalid or expired token"],
  PERMISSION_DENIED: ["PermissionDenied", "Permission denied"],
  USER_NOT_FOUND: ["NotFound", "User not found"],
  SESSION_NOT_FOUND: ["NotFound", "Session not found"],
  LAST_ADMIN: ["FailedPrecondition", "The last active admin cannot be blocked or demoted"],
  OVERLOADED: ["Unavailable", "Service temporarily unavailable"],
  UNAVAILABLE: ["Unavailable", "Service temporarily unavailable"],
  DEADLINE_EXCEEDED: ["DeadlineExceeded", "Deadline exceeded"],
};

const known = new WeakMap<TestService, Record<string, WayIn>>();

/** Every protocol, over connections that are opened once. */
export function waysOf(service: TestService): Record<string, WayIn> {
  const ways = known.get(service) ?? waysIn(service);
  known.set(service, ways);
  return ways;
}

/** Makes ready what one call needs. */
export type Ready = () => Promise<Plan>;

/** Makes a call by every protocol and route, and gives what came of it: the same by all of them. */
export async function expectParity(service: TestService, one: Case, ready: Ready, deadline?: number): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const [name, way] of Object.entries(waysOf(service))) {
    const plan = await ready();
    const headers = { ...bearer(plan), ...(deadline === undefined ? {} : way.timeout(deadline)) };
    outcomes.push(alike(await one.call(way, plan, headers)));
    expect(outcomes.at(-1), name).to.deep.equal(outcomes[0]);
  }
  const [outcome] = outcomes;
  if (!outcome) throw new Error("there is no way in");
  for (const form of one.rest) expectRest(await sendRest(service, form, await ready()), form, one.reason, outcome);
  return outcome;
}

/** The same for a call that must be refused for the case's reason. */
export async function expectRefusal(
  service: TestService,
  one: Case,
  ready: Ready,
  deadline?: number,
): Promise<Refused> {
  const outcome = await expectParity(service, one, ready, deadline);
  if (!("refused" in outcome)) throw new Error(`${one.title} was answered`);
  const [code, message] = REASONS[one.reason] ?? [];
  expect(outcome.refused).to.include({ code, message });
  const info = { type: "google.rpc.ErrorInfo", value: { domain: "latchkey", reason: one.reason } };
  expect(outcome.refused.details[0]).to.deep.equal(info);
  return outcome.refused;
}

/** Sends a request to a route: what its path does not name goes into the body. */
function sendRest(service: TestService, { route }: RestForm, plan: Plan): Promise<HttpAnswer> {
  const [method = "", pattern = ""] = route.split(" ");
  const members = Object.entries(plan.request).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    typeof value === "bigint" ? String(value) : value,
  ]);
  const path = pattern.replace(/\{(\w+)\}/g, (_, name: string) => String(Object.fromEntries(members)[name]));
  const rest = members.filter(([name]) => !pattern.includes(`{${name}}`));
  if (method === "GET") return send(service, path, { headers: bearer(plan) });
  return postJson(service, path, Object.fromEntries(rest), bearer(plan));
}

function expectRest(answer: HttpAnswer, form: RestForm, reason: string, outcome: Outcome): void {
  const body =
    "answer" in outcome ? form.body(outcome.answer as JsonObject) : refusalBody(outcome.refused, reason, form);
  expectJson({ ...answer, body: alike(answer.body) }, form.status, body);
  const delay = "refused" in outcome ? retryDelay(outcome.refused) : undefined;
  expect(answer.headers.get("retry-after")).to.equal(delay === undefined ? null : String(Math.ceil(delay)));
}

function refusalBody({ message, details }: Refused, reason: string, { status, route }: RestForm): object {
  if (status !== 422) return { detail: message, code: reason };
  const [, badRequest] = details as { value: { fieldViolations?: { [name: string]: string }[] } }[];
  const detail = badRequest?.value.fieldViolations?.map(({ field, description, reason }) => ({
    loc: [route.includes(`{${field}}`) ? "path" : "body", field],
    ...{ msg: description, type: reason?.toLowerCase() },
  }));
  return { detail, code: reason };
}

function retryDelay({ details }: Refused): number | undefined {
  const retry = details.find((detail) => "type" in detail && detail.type === "google.rpc.RetryInfo");
  return retry && Number.parseFloat((retry as { value: { retryDelay: string } }).value.retryDelay);
}

function bearer({ token }: Plan): Record<string, string> {
  return token === undefined ? {} : authorization(token);
}

/** The same value without what differs by nature: ids, times, tokens, service keys and the names of people. */
function alike<T>(value: T): T {
  const text = JSON.stringify(value, (key, inner: JsonValue) =>
    /(^id|^key|Id|[tT]oken|Time|_at)$/.test(key) && inner ? "…" : inner,
  );
  return JSON.parse(text.replaceAll(/person\d+/g, "person"));
}
