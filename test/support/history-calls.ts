import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CallOptions, ConnectError } from "@connectrpc/connect";
import { SignOutScope } from "../../gen/auth/v1/session_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { now } from "../../src/clock.ts";
import type { Guess, Intent } from "./history-commands.ts";
import { type Holders, type Holding, pick } from "./history-holders.ts";
import type { Answer, Bearer, Request } from "./history-model.ts";
import { bearer, PASSWORD } from "./people.ts";
import type { TestService } from "./service.ts";

/** A person of a history, with the reset tokens that came by mail, the good one last. */
export interface Actor {
  readonly id: bigint;
  readonly username: string;
  readonly email: string;
  /** The number of the password that the account has. */
  password: number;
  resets: readonly { readonly id: string; readonly token: string }[];
}

/** Who acts, on what they hold, and how the admin proves to be one. */
export interface Cast {
  readonly actors: readonly Actor[];
  readonly holders: Holders;
  readonly admin: { readonly options: CallOptions };
  /** Since the history began. */
  minute: number;
}

/** A call ready to be sent, in the words of the model. */
export interface Prepared {
  readonly request: Request;
  send(): Promise<Answer>;
}

/** The password of a number; 0 is everybody's first. */
function passwordOf(number: number): string {
  return `${PASSWORD}${number === 0 ? "" : number}`;
}

const FOREVER = Number.MAX_SAFE_INTEGER;
const WRONG = -1;

/** Makes a call of what a user is about to do; who has nothing yet to do it with sees to that first. */
export function prepare(intent: Intent, user: number, service: TestService, cast: Cast): Prepared {
  const actor = cast.actors[user];
  if (!actor) throw new Error(`there is no user ${user}`);
  switch (intent.call) {
    case "signIn":
      return prepareSignIn(intent, actor, service, cast);
    case "requestReset":
      return prepareResetRequest(actor, service);
    case "resetPassword":
      return prepareReset(intent, actor, service);
    case "block":
    case "unblock":
    case "revokeAll":
    case "delete":
      return prepareAsAdmin(intent, actor.id, service, cast);
    default: {
      const holding = cast.holders.find(user, intent.session);
      if (!holding) return prepareSignIn({ password: "right", fixed: false }, actor, service, cast);
      if (intent.call === "changePassword") return prepareChange(intent, actor, holding, service);
      return prepareWithSession(intent, holding, service, cast);
    }
  }
}

type Call<Name extends Intent["call"]> = Extract<Intent, { readonly call: Name }>;

function prepareSignIn(
  { password: kind, fixed }: Omit<Call<"signIn">, "call">,
  { username: login, password: current }: Actor,
  { auth }: TestService,
  { holders }: Cast,
): Prepared {
  const password = guessed(kind, current);
  return {
    request: { name: "signIn", password, rotates: !fixed, opened: "" },
    async send() {
      const request = { login, password: passwordOf(password), fixedRefreshToken: fixed };
      return holders.keep((await auth.signIn(request)).tokens);
    },
  };
}

function guessed(guess: Guess, current: number): number {
  return { right: current, wrong: WRONG, old: current - 1, next: current + 1 }[guess];
}

function prepareResetRequest({ email }: Actor, { auth }: TestService): Prepared {
  return { request: { name: "requestReset" }, send: () => auth.requestPasswordReset({ email }).then(() => ({})) };
}

function prepareReset({ age }: Call<"resetPassword">, actor: Actor, service: TestService): Prepared {
  const reset = pick(actor.resets, age);
  if (!reset) return prepareResetRequest(actor, service);
  const { id, token } = reset;
  const password = actor.password + 1;
  return {
    request: { name: "resetPassword", id, password },
    send: () => service.auth.resetPassword({ token, newPassword: passwordOf(password) }).then(() => ({})),
  };
}

function prepareChange(
  { age, password: guess }: Call<"changePassword">,
  actor: Actor,
  holding: Holding,
  { auth }: TestService,
): Prepared {
  const { by, options } = asBearer(holding, age);
  const [current, password] = [guessed(guess, actor.password), actor.password + 1];
  const request = { currentPassword: passwordOf(current), newPassword: passwordOf(password) };
  return {
    request: { name: "changePassword", by, current, password },
    send: () => auth.changePassword(request, options).then(() => ({})),
  };
}

function prepareAsAdmin(
  intent: Call<"block" | "unblock" | "revokeAll" | "delete">,
  userId: bigint,
  { admin, clock }: TestService,
  cast: Cast,
): Prepared {
  if (intent.call === "revokeAll") {
    const send = async () => ({
      ended: (await admin.revokeUserSessions({ userId }, cast.admin.options)).revokedSessions,
    });
    return { request: { name: intent.call }, send };
  }
  if (intent.call === "delete") {
    const send = () => admin.deleteUser({ userId }, cast.admin.options).then(() => ({}));
    return { request: { name: "deleteUser" }, send };
  }
  const minutes = intent.call === "block" ? intent.minutes : null;
  const isActive = intent.call === "unblock";
  const untilTime = minutes === null ? {} : { untilTime: timestampFromMs(now(clock) + minutes * 60_000) };
  const send = async () => {
    const { user } = await admin.setUserActive({ userId, isActive, ...untilTime }, cast.admin.options);
    return { active: user?.isActive ?? false };
  };
  if (isActive) return { request: { name: "unblock" }, send };
  return { request: { name: "block", until: minutes === null ? FOREVER : cast.minute + minutes }, send };
}

function prepareWithSession(
  intent: Exclude<Extract<Intent, { readonly session: number }>, Call<"changePassword">>,
  holding: Holding,
  service: TestService,
  cast: Cast,
): Prepared {
  if (intent.call === "refresh") return prepareRefresh(holding, intent.age, service, cast);
  if (intent.call === "signOut") return prepareSignOut(intent, holding, service);
  const { auth } = service;
  const { by, options } = asBearer(holding, "age" in intent ? intent.age : 0);
  switch (intent.call) {
    case "getMe":
      return { request: { name: intent.call, by }, send: () => whoIsMe(service, options, cast) };
    case "listSessions": {
      const send = async () => {
        const { sessions } = await auth.listSessions({}, options);
        return { sessions: sessions.map(({ id }) => id).sort() };
      };
      return { request: { name: intent.call, by }, send };
    }
    case "revokeSession": {
      const sessionId = pick(cast.holders.holdings, intent.other)?.id ?? holding.id;
      const send = () => auth.revokeSession({ sessionId }, options).then(() => ({}));
      return { request: { name: intent.call, by, session: sessionId }, send };
    }
  }
}

function asBearer({ id: session, accessTokens }: Holding, age: number): { by: Bearer; options: CallOptions } {
  const access = pick(accessTokens, age);
  return { by: { session, expiresAt: access?.minute ?? 0 }, options: bearer(access?.token ?? "") };
}

function prepareRefresh(
  { id: session, refreshTokens }: Holding,
  age: number,
  { auth }: TestService,
  { holders }: Cast,
): Prepared {
  const counter = Math.max(0, refreshTokens.length - 1 - age);
  const refreshToken = refreshTokens[counter] ?? "";
  return {
    request: { name: "refresh", session, counter },
    send: async () => holders.keep((await auth.refreshToken({ refreshToken })).tokens),
  };
}

function prepareSignOut({ by: token, scope, age }: Call<"signOut">, holding: Holding, { auth }: TestService): Prepared {
  const request = { scope: SignOutScope[scope] };
  if (token === "bearer") {
    const { by, options } = asBearer(holding, age);
    const send = async () => ({ signedOut: (await auth.signOut(request, options)).signedOut });
    return { request: { name: "signOut", by, scope }, send };
  }
  const refreshToken = pick(holding.refreshTokens, age) ?? "";
  const send = async () => ({ signedOut: (await auth.signOut({ ...request, refreshToken })).signedOut });
  return { request: { name: "signOut", by: holding.id, scope }, send };
}

async function whoIsMe({ auth }: TestService, options: CallOptions, { actors }: Cast): Promise<Answer> {
  const { user, session } = await auth.getMe({}, options);
  return { user: actors.findIndex(({ id }) => id === user?.id), session: session?.id ?? "" };
}

/** What a call was answered; a refusal is an answer too. */
export function answerOf(call: Promise<Answer>): Promise<Answer> {
  return call.catch((reason: unknown) => {
    if (!(reason instanceof ConnectError)) throw reason;
    const [info] = reason.findDetails(ErrorInfoSchema);
    return { refusal: info?.reason ?? `without a reason: ${reason.message}` };
  });
}
