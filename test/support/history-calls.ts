import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CallOptions, ConnectError } from "@connectrpc/connect";
import { SignOutScope } from "../../gen/auth/v1/session_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { now } from "../../src/clock.ts";
import type { Intent } from "./history-commands.ts";
import { type HeldAccessToken, type Holders, type Holding, pick } from "./history-holders.ts";
import type { Answer, Request } from "./history-model.ts";
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

/** Makes a call of an intent; null when the user has nothing to do it with. */
export function prepare(intent: Intent, user: number, service: TestService, cast: Cast): Prepared | null {
  const actor = cast.actors[user];
  if (!actor) throw new Error(`there is no user ${user}`);
  if ("session" in intent) return prepareWithSession(intent, user, service, cast);
  switch (intent.call) {
    case "signIn":
      return prepareSignIn(intent, actor, service, cast.holders);
    case "requestReset":
      return prepareResetRequest(actor, service);
    case "resetPassword":
      return prepareReset(intent, actor, service);
    default:
      return prepareAsAdmin(intent, actor.id, service, cast);
  }
}

type Call<Name extends Intent["call"]> = Extract<Intent, { readonly call: Name }>;

function prepareSignIn(
  { password: kind, fixed }: Call<"signIn">,
  { username: login, password: current }: Actor,
  { auth }: TestService,
  holders: Holders,
): Prepared {
  const password = { right: current, wrong: WRONG, old: current - 1, next: current + 1 }[kind];
  return {
    request: { name: "signIn", password, rotates: !fixed, opened: "" },
    async send() {
      const request = { login, password: passwordOf(password), fixedRefreshToken: fixed };
      return holders.keep((await auth.signIn(request)).tokens);
    },
  };
}

function prepareResetRequest({ email }: Actor, { auth }: TestService): Prepared {
  return { request: { name: "requestReset" }, send: () => auth.requestPasswordReset({ email }).then(() => ({})) };
}

/** Who has no token asks for one. */
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

function prepareAsAdmin(
  intent: Call<"block" | "unblock" | "revokeAll">,
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
  intent: Extract<Intent, { readonly session: number }>,
  user: number,
  service: TestService,
  cast: Cast,
): Prepared | null {
  const holding = cast.holders.find(user, intent.session);
  const access = holding && pick(holding.accessTokens, "age" in intent ? intent.age : 0);
  if (!holding || !access) return prepareSignIn(FIRST_SIGN_IN, actor, service, cast.holders);
  const { auth } = service;
  const session = holding.id;
  const by = { session, expiresAt: access.minute };
  const options = bearer(access.token);
  switch (intent.call) {
    case "refresh":
      return prepareRefresh(holding, intent.age, service, cast.holders);
    case "signOut":
      return prepareSignOut(intent, holding, access, service);
    case "revokeSession": {
      const sessionId = pick(cast.holders.holdings, intent.other)?.id ?? session;
      const request = { name: intent.call, by, session: sessionId };
      return { request, send: () => auth.revokeSession({ sessionId }, options).then(() => ({})) };
    }
    case "getMe":
      return { request: { name: intent.call, by }, send: () => whoIsMe(service, options, cast) };
    case "listSessions": {
      const send = async () => {
        const { sessions } = await auth.listSessions({}, options);
        return { sessions: sessions.map(({ id }) => id).sort() };
      };
      return { request: { name: intent.call, by }, send };
    }
  }
}

function prepareRefresh(holding: Holding, age: number, { auth }: TestService, holders: Holders): Prepared {
  const counter = Math.max(0, holding.refreshTokens.length - 1 - age);
  const refreshToken = holding.refreshTokens[counter] ?? "";
  return {
    request: { name: "refresh", session: holding.id, counter },
    send: async () => holders.keep((await auth.refreshToken({ refreshToken })).tokens),
  };
}

function prepareSignOut(
  { by, scope, age }: Call<"signOut">,
  { id, refreshTokens }: Holding,
  { token, minute }: HeldAccessToken,
  { auth }: TestService,
): Prepared {
  const request = { scope: SignOutScope[scope] };
  const refreshToken = pick(refreshTokens, age) ?? "";
  const send = async () => {
    const call = by === "bearer" ? auth.signOut(request, bearer(token)) : auth.signOut({ ...request, refreshToken });
    return { signedOut: (await call).signedOut };
  };
  return { request: { name: "signOut", scope, by: by === "bearer" ? { session: id, expiresAt: minute } : id }, send };
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
