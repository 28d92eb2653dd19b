import { setImmediate as nextTurn } from "node:timers/promises";
import { inspect } from "node:util";
import { expect } from "chai";
import { now } from "../../src/clock.ts";
import { type Actor, answerOf, type Cast, passwordOf, prepare } from "./history-calls.ts";
import { type Command, type Step, USERS } from "./history-commands.ts";
import { createHolders, type Holding, pick } from "./history-holders.ts";
import { type Call, UNKNOWN, type World, worldsAfter } from "./history-model.ts";
import { readStored, type Stored } from "./history-rows.ts";
import { bearer, newPerson, readMail, refusalOf, signIn } from "./people.ts";
import type { TestService } from "./service.ts";
import { passTime } from "./time.ts";
import { waitUntil } from "./wait.ts";

const MINUTE = 60_000;
/** A verifier's clock may be behind by this much. */
const LEEWAY = 30_000;

/** The processes of one service, and an admin's name and password. */
export interface Stage {
  readonly services: readonly [TestService, TestService];
  readonly admin: { readonly username: string; readonly password: string };
}

// One session that rotates and one that does not, so that there is something to lose from the first step on.
const OPENING: readonly Step[] = Array.from({ length: USERS }, (_, user) => ({
  user,
  calls: [false, true].map((fixed) => ({
    ...{ call: "signIn" as const, password: "right" as const, fixed },
    ...{ process: 0, lag: 0 },
  })),
}));

/** Plays a history with new people, and checks after each step that all is as the model allows. */
export async function playHistory(stage: Stage, steps: readonly Step[]): Promise<void> {
  const story: string[] = [];
  const history = await createHistory(stage, story);
  try {
    for (const step of [...OPENING, ...steps]) await history.play(step);
    await history.close();
  } catch (error) {
    if (error instanceof Error) error.message += `\n${story.join("\n")}`;
    throw error;
  }
}

async function createHistory({ services, admin }: Stage, story: string[]) {
  const [{ clock, database }] = services;
  let adminTokens = await signIn(services[0], admin);
  const actors = await createActors(services[0], adminTokens.options);
  const userIds = actors.map(({ id }) => id);
  // Access tokens tell whole seconds: those of the first second began in the one before.
  const beganAt = now(clock) - 1000;
  const minuteOf = (ms: number) => Math.floor((ms - beganAt) / MINUTE);
  const holders = createHolders(userIds, minuteOf);
  const unaware: { holding: Holding; service: TestService }[] = [];
  const account = { password: 0, blockedUntil: 0, reset: null };
  let worlds: World[] = [{ now: 0, accounts: actors.map(() => account), sessions: {} }];

  const letPass = async (minutes: number) => {
    story.push(`${minutes} minutes pass`);
    await passTime({ clock, database }, minutes * MINUTE);
    worlds = worlds.map((world) => ({ ...world, now: world.now + minutes }));
    adminTokens = await signIn(services[0], admin);
  };

  const callAll = async (user: number, commands: readonly Command[]): Promise<Call[]> => {
    const cast: Cast = { actors, holders, admin: adminTokens.options, minute: worlds[0]?.now ?? 0 };
    const calls = await Promise.all(
      commands.map((command) => send(command, user, services[command.process % 2] ?? services[0], cast)),
    );
    return calls.filter((call) => call !== null);
  };

  const check = async (calls: readonly Call[]) => {
    const before = worlds[0];
    worlds = worlds.flatMap((world) => worldsAfter(world, calls));
    expect(worlds, `no order of the last calls explains their answers; before: ${print(before)}`).not.to.be.empty;
    await readResetMails(services[0], actors, calls);
    const stored = await readStored(database, userIds, { minuteOf, offset: clock.offset });
    worlds = requireAgreement(worlds, stored, actors);
    worlds[0]?.accounts.forEach(({ password }, user) => {
      const actor = actors[user];
      if (actor) actor.password = password;
    });
    requireRevocations(stored, holders.holdings);
    const isNew = ({ id }: Holding) => stored.sessions[id]?.ended && !before?.sessions[id]?.ended;
    const ended = holders.holdings.filter(isNew);
    unaware.push(...(await Promise.all(ended.map((holding) => requireDead(services, holding)))).flat());
  };

  return {
    async play(step: Step) {
      if ("minutes" in step) return letPass(step.minutes);
      const calls = await callAll(step.user, step.calls);
      story.push(calls.map((call) => print(call)).join("\n"));
      await check(calls);
    },

    /** Sees every ending known in both processes. */
    async close() {
      for (const { holding, service } of unaware) await waitUntil(() => isRefused(service, holding));
    },
  };
}

async function createActors({ admin }: TestService, options: { headers: Record<string, string> }): Promise<Actor[]> {
  const people = Array.from({ length: USERS }, () => ({ ...newPerson(), password: passwordOf(0) }));
  const created = await Promise.all(
    people.map((person) => admin.createUser({ ...person, emailConfirmed: true }, options)),
  );
  const actors = people.map(({ username, email }, index) => {
    const id = created[index]?.user?.id ?? 0n;
    return { id, username, email, password: 0, resets: [] };
  });
  return actors.sort((one, other) => Number(one.id - other.id));
}

async function send(command: Command, user: number, service: TestService, cast: Cast): Promise<Call | null> {
  const prepared = prepare(command, user, service, cast);
  if (!prepared) return null;
  for (let turn = 0; turn < command.lag; turn++) await nextTurn();
  const sentAt = performance.now();
  const answer = await answerOf(prepared.send());
  const { request } = prepared;
  const opened = request.name === "signIn" && "session" in answer ? { opened: answer.session } : {};
  return { ...request, ...opened, user, sentAt, answeredAt: performance.now(), answer };
}

async function readResetMails(service: TestService, actors: readonly Actor[], calls: readonly Call[]): Promise<void> {
  for (const { user, name } of calls) {
    const actor = actors[user];
    if (name !== "requestReset" || !actor) continue;
    const count = actor.resets.length + 1;
    const { token } = await readMail(service, actor.email, count);
    actor.resets.push({ id: secretId(token), token });
  }
}
