import { setImmediate as nextTurn } from "node:timers/promises";
import { inspect } from "node:util";
import type { CallOptions } from "@connectrpc/connect";
import { expect } from "chai";
import { now } from "../../src/clock.ts";
import { type Actor, answerOf, type Cast, prepare } from "./history-calls.ts";
import { isKnownDead, type Processes, requireAgreement, requireDead, requireRevocations } from "./history-checks.ts";
import { type Command, type Step, USERS } from "./history-commands.ts";
import { createHolders, type Holding } from "./history-holders.ts";
import { type Call, hasEnded, type World } from "./history-model.ts";
import { readStored } from "./history-rows.ts";
import { worldsAfter } from "./history-worlds.ts";
import { newPerson, signIn } from "./people.ts";
import type { TestService } from "./service.ts";
import { passTime } from "./time.ts";
import { waitUntil } from "./wait.ts";

const MINUTE = 60_000;

/** The processes of one service, and an admin who is signed in. */
export interface Stage {
  readonly services: Processes;
  readonly admin: { readonly username: string; readonly password: string; options: CallOptions };
}

interface History extends Stage {
  readonly cast: Cast;
  readonly minuteOf: (ms: number) => number;
  /** What happened, for who reads of a failure. */
  readonly story: string[];
  /** Every world that explains all answers so far: one, but for rare coincidences. */
  worlds: World[];
  /** Processes that had not heard of an ending when it was checked. */
  readonly unaware: { readonly service: TestService; readonly holding: Holding }[];
}

// So that there is something to lose from the first step on: sessions of both kinds, one with a spent refresh token.
const SIGN_IN = { call: "signIn", password: "right", fixed: false, process: 0, lag: 0 } as const;
const REFRESH = { call: "refresh", session: 0, age: 0, process: 1, lag: 0 } as const;
const OPENING: readonly Step[] = [
  { user: 0, calls: [{ ...SIGN_IN, fixed: true }] },
  { user: 0, calls: [SIGN_IN] },
  { user: 0, calls: [REFRESH, { ...REFRESH, session: 1 }] },
];

/** Plays a history with new people, and checks after each step that all is as the model allows. */
export async function playHistory(stage: Stage, steps: readonly Step[]): Promise<void> {
  const history = await beginHistory(stage);
  try {
    for (const step of [...OPENING, ...steps]) await play(history, step);
    for (const { service, holding } of history.unaware) await waitUntil(() => isKnownDead(service, holding));
  } catch (error) {
    throw new Error(tell(history, error), { cause: error });
  }
}

/** What is wrong and what happened before, a line a call and an empty one between steps; sessions are numbered. */
function tell({ story, cast }: History, error: unknown): string {
  const text = `${error instanceof Error ? error.message : error}\n\n${story.join("\n\n")}`;
  const { holdings } = cast.holders;
  return holdings.reduce((told, { id }, index) => told.replaceAll(id, `session ${index + 1}`), text);
}

async function beginHistory(stage: Stage): Promise<History> {
  const [service] = stage.services;
  const actors = await Promise.all(Array.from({ length: USERS }, () => createActor(stage)));
  // A second early, since access tokens tell whole seconds: their minutes come out right.
  const beganAt = now(service.clock) - 1000;
  const minuteOf = (ms: number) => Math.floor((ms - beganAt) / MINUTE);
  const ids = actors.map(({ id }) => id);
  const accounts = actors.map(() => ({ password: 0, blockedUntil: 0, deleted: false, reset: null }));
  return {
    ...stage,
    cast: { actors, holders: createHolders(ids, minuteOf), admin: stage.admin, minute: 0 },
    ...{ minuteOf, story: [], worlds: [{ now: 0, accounts, sessions: {} }], unaware: [] },
  };
}

// With the password of the admin, whose hash is there already.
async function createActor({ services: [{ database }], admin }: Stage): Promise<Actor> {
  const { username, email } = newPerson();
  const [row] = await database.query<{ id: string }>(
    `INSERT INTO users (username, username_key, email, email_key, email_confirmed_at, password_hash)
     SELECT $1, $1, $2, $2, now(), password_hash FROM users WHERE username = $3 RETURNING id`,
    ...[username, email, admin.username],
  );
  return { id: BigInt(row?.id ?? 0), username, email, password: 0, resets: [] };
}

async function play(history: History, step: Step): Promise<void> {
  if ("minutes" in step) return letPass(history, step.minutes);
  return check(history, await Promise.all(step.calls.map((command) => call(history, step.user, command))));
}

async function letPass(history: History, minutes: number): Promise<void> {
  const [service] = history.services;
  history.story.push(`${minutes} minutes pass`);
  await passTime(service, minutes * MINUTE);
  history.worlds = history.worlds.map((world) => ({ ...world, now: world.now + minutes }));
  history.cast.minute += minutes;
  history.admin.options = (await signIn(service, history.admin)).options;
}

async function call({ services, cast }: History, user: number, command: Command): Promise<Call> {
  const { request, send } = prepare(command, user, services[command.process] ?? services[0], cast);
  for (let turn = 0; turn < command.lag; turn++) await nextTurn();
  const sentAt = performance.now();
  const answer = await answerOf(send());
  const opened = request.name === "signIn" && "session" in answer ? { opened: answer.session } : {};
  return { ...request, ...opened, user, sentAt, answeredAt: performance.now(), answer };
}

async function check(history: History, calls: readonly Call[]): Promise<void> {
  const { services, cast, minuteOf, story, worlds } = history;
  story.push(calls.map(tellCall).join("\n"));
  const explaining = worlds.flatMap((world) => worldsAfter(world, calls));
  expect(explaining, `no order of the last calls explains their answers, from\n${print(worlds)}`).not.to.be.empty;
  const { database, clock } = services[0];
  const ids = cast.actors.map(({ id }) => id);
  const stored = await readStored(database, ids, { minuteOf, offset: clock.offset });
  history.worlds = requireAgreement(explaining, stored, cast.actors);
  // The rows of sessions that went with their account tell nothing any more; the world knows.
  const { sessions = {} } = history.worlds[0] ?? {};
  requireRevocations(stored, sessions, cast.holders.holdings);
  const isNew = ({ id }: Holding) => hasEnded(sessions[id]) && !hasEnded(worlds[0]?.sessions[id]);
  const ended = cast.holders.holdings.filter(isNew);
  const unaware = async (holding: Holding) =>
    (await requireDead(services, holding)).map((service) => ({ service, holding }));
  history.unaware.push(...(await Promise.all(ended.map(unaware))).flat());
  await learn(history, calls);
}

/** Everybody knows the own password, and reads the mails that were asked for. */
async function learn({ services, cast, worlds }: History, calls: readonly Call[]): Promise<void> {
  for (const [user, actor] of cast.actors.entries()) {
    const account = worlds[0]?.accounts[user];
    if (account) actor.password = account.password;
    const asked = calls.filter((call) => call.name === "requestReset" && call.user === user).length;
    // Mails that have not been sent go with their account.
    if (asked === 0 || account?.deleted) continue;
    const resets = await readResets(services[0], actor.email, actor.resets.length + asked);
    const isGood = ({ id }: { readonly id: string }) => id === account?.reset?.id;
    actor.resets = [...resets.filter((reset) => !isGood(reset)), ...resets.filter(isGood)];
  }
}

/** The reset tokens mailed to an address, when so many have come: mails overtake each other. */
async function readResets({ mails }: TestService, email: string, count: number): Promise<Actor["resets"]> {
  const received = () =>
    mails.flatMap(({ to, text }) => (to === email ? (/\/account\/reset\/([\w-]+)/.exec(text)?.[1] ?? []) : []));
  await waitUntil(() => received().length >= count);
  const tokens = received();
  return tokens.map((token) => ({ id: secretId(token), token }));
}

// The form that tokens.md gives a mailed token: the row's id, HMAC.
function secretId(token: string): string {
  const hex = Buffer.from(token, "base64url").toString("hex", 0, 16);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function tellCall({ name, sentAt, answeredAt, user, answer, ...request }: Call): string {
  const [from, to] = [sentAt, answeredAt].map((time) => time.toFixed(1));
  return `${from}-${to} ms: user ${user} ${name} ${print(request)} -> ${print(answer)}`;
}

function print(value: unknown): string {
  return inspect(value, { depth: 5, breakLength: Number.POSITIVE_INFINITY });
}
