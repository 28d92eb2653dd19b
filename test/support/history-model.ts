import type { SignOutScope } from "../../src/auth/sessions.ts";

/** Lifetimes in minutes. All odd, and time moves by even ones: nothing ever happens close to an end. */
export const GRACE = 5;
export const ACCESS_TTL = 61;
export const REFRESH_TTL = 1441;
export const MAX_AGE = 2883;
const RESET_TTL = 30;

/** An account as the model has it; times in minutes since the history began, `blockedUntil` 0: not blocked. */
export interface Account {
  readonly password: number;
  readonly blockedUntil: number;
  readonly deleted: boolean;
  /** The one good reset token; its id is not known before the mail has come. */
  readonly reset: { readonly id: string; readonly expiresAt: number } | null;
}

/** A session as the model has it, and as its row must say. */
export interface Session {
  readonly user: number;
  readonly rotates: boolean;
  readonly counter: number;
  readonly refreshedAt: number;
  readonly idleEnd: number;
  readonly expiresAt: number;
  readonly accessEnd: number;
  readonly endedAt: number | null;
}

/** Everything there is, between two calls. */
export interface World {
  readonly now: number;
  readonly accounts: readonly Account[];
  readonly sessions: Readonly<Record<string, Session>>;
}

/** A session's id with the minute in which the access token that speaks for it expires. */
export interface Bearer {
  readonly session: string;
  readonly expiresAt: number;
}

/** A call as the service gets it. Passwords are numbers; each reset and change counts on by one. */
export type Request =
  | { readonly name: "signIn"; readonly password: number; readonly rotates: boolean; readonly opened: string }
  | { readonly name: "refresh"; readonly session: string; readonly counter: number }
  | { readonly name: "signOut"; readonly by: string | Bearer; readonly scope: SignOutScope }
  | { readonly name: "revokeSession"; readonly by: Bearer; readonly session: string }
  | { readonly name: "getMe"; readonly by: Bearer }
  | { readonly name: "listSessions"; readonly by: Bearer }
  | { readonly name: "block"; readonly until: number }
  | { readonly name: "unblock" }
  | { readonly name: "revokeAll" }
  | { readonly name: "deleteUser" }
  | { readonly name: "changePassword"; readonly by: Bearer; readonly current: number; readonly password: number }
  | { readonly name: "requestReset" }
  | { readonly name: "resetPassword"; readonly id: string; readonly password: number };

/** What came back, as far as the model can tell it beforehand. */
export type Answer =
  | { readonly refusal: string }
  | { readonly user: number; readonly session: string; readonly counter: number; readonly accessEnd: number }
  | { readonly user: number; readonly session: string }
  | { readonly sessions: readonly string[] }
  | { readonly signedOut: boolean }
  | { readonly active: boolean }
  | { readonly ended: number }
  | Record<never, never>;

/** A request of one account's holder, or of an admin about the account, with its answer. */
export type Call = Request & {
  readonly user: number;
  readonly sentAt: number;
  readonly answeredAt: number;
  readonly answer: Answer;
};

/** An answer, and what there is after it. */
export type Outcome = readonly [Answer, World];

/** The reset token of a request whose mail has not come yet. */
export const UNKNOWN = "not mailed yet";

const INVALID_TOKEN = { refusal: "INVALID_TOKEN" };
const INVALID_CREDENTIALS = { refusal: "INVALID_CREDENTIALS" };

/** Whether somebody has ended a session; time alone leaves no mark. */
export function hasEnded(session: Session | undefined): boolean {
  return typeof session?.endedAt === "number";
}

/** Whether there is an account, and it is not blocked. */
export function isActive({ now, accounts }: World, user: number): boolean {
  const account = accounts[user];
  return account !== undefined && !account.deleted && account.blockedUntil <= now;
}

const canEnd = ({ now }: World, session: Session | undefined) => session?.endedAt === null && session.expiresAt > now;
const isLive = (world: World, session: Session) =>
  canEnd(world, session) && session.idleEnd > world.now && isActive(world, session.user);

function withSession(world: World, id: string, session: Session): World {
  return { ...world, sessions: { ...world.sessions, [id]: session } };
}

function withAccount(world: World, user: number, change: Partial<Account>): World {
  const accounts = world.accounts.map((account, index) => (index === user ? { ...account, ...change } : account));
  return { ...world, accounts };
}

function end(world: World, isMeant: (id: string, session: Session) => boolean): { world: World; ended: number } {
  const ids = Object.keys(world.sessions).filter((id) => {
    const session = world.sessions[id];
    return session && canEnd(world, session) && isMeant(id, session);
  });
  const ended = ids.map((id) => [id, { ...world.sessions[id], endedAt: world.now }]);
  return { world: { ...world, sessions: { ...world.sessions, ...Object.fromEntries(ended) } }, ended: ids.length };
}

function endAll(world: World, user: number): World {
  return end(world, (_, session) => session.user === user).world;
}

function endOthers(world: World, user: number, id: string): World {
  return end(world, (other, session) => session.user === user && other !== id).world;
}

// Whether the holder of an access token is told something that is asked of the database.
function isSignedIn(world: World, user: number, { session, expiresAt }: Bearer): boolean {
  return expiresAt > world.now && canEnd(world, world.sessions[session]) && isActive(world, user);
}

function asAdmin(world: World, user: number, outcome: Outcome): Outcome[] {
  return world.accounts[user]?.deleted ? [[{ refusal: "USER_NOT_FOUND" }, world]] : [outcome];
}

function grant(world: World, id: string, session: Session): Outcome {
  const accessEnd = Math.min(world.now + ACCESS_TTL, session.expiresAt);
  const granted = { ...session, accessEnd: Math.max(session.accessEnd, accessEnd) };
  const { user, counter } = granted;
  return [{ user, session: id, counter, accessEnd }, withSession(world, id, granted)];
}

type Of<Name extends Request["name"]> = Extract<Call, { readonly name: Name }>;
type Rules = { readonly [Name in Request["name"]]: (world: World, call: Of<Name>, before: World) => Outcome[] };

// Whether a bearer is let in is asked of a memory that may be behind the database by a poll: a token of an ended
// session may be taken once more.
function asBearer(world: World, { session, expiresAt }: Bearer, outcome: Outcome): Outcome[] {
  const refused: Outcome = [INVALID_TOKEN, world];
  if (expiresAt <= world.now) return [refused];
  return hasEnded(world.sessions[session]) ? [refused, outcome] : [outcome];
}

/** What each call may answer, and what it leaves behind, if nothing else happens meanwhile. */
export const rules: Rules = {
  signIn(world, { user, password, rotates, opened }) {
    const account = world.accounts[user];
    if (account?.password !== password || account.deleted) return [[INVALID_CREDENTIALS, world]];
    if (!isActive(world, user)) return [[{ refusal: "USER_BLOCKED" }, world]];
    if (world.sessions[opened]) return [];
    const expiresAt = world.now + (rotates ? MAX_AGE : Math.min(REFRESH_TTL, MAX_AGE));
    const times = { refreshedAt: world.now, idleEnd: Math.min(world.now + REFRESH_TTL, expiresAt), expiresAt };
    return [grant(world, opened, { user, rotates, counter: 0, ...times, accessEnd: 0, endedAt: null })];
  },

  refresh(world, { session: id, counter }) {
    const session = world.sessions[id];
    if (!session || !isLive(world, session)) return [[INVALID_TOKEN, world]];
    const refreshed = { ...session, refreshedAt: world.now };
    if (!session.rotates) return [grant(world, id, refreshed)];
    if (counter === session.counter) {
      const idleEnd = Math.min(world.now + REFRESH_TTL, session.expiresAt);
      return [grant(world, id, { ...refreshed, counter: counter + 1, idleEnd })];
    }
    const isInGrace = world.now - session.refreshedAt < GRACE;
    if (counter === session.counter - 1 && isInGrace) return [grant(world, id, session)];
    return [[INVALID_TOKEN, withSession(world, id, { ...session, endedAt: world.now })]];
  },

  signOut(world, { user, by, scope }, before) {
    const id = typeof by === "string" ? by : by.session;
    const nothing: Outcome = [{ signedOut: false }, world];
    if (typeof by !== "string" && by.expiresAt <= world.now) return [nothing];
    const { world: after, ended } = end(world, (other, session) => {
      if (scope === "SESSION") return other === id;
      return session.user === user && (scope === "ALL" || other !== id);
    });
    const done: Outcome = [{ signedOut: ended > 0 }, after];
    if (canEnd(world, world.sessions[id])) return [done];
    // The wider scopes look at the session first and then wait for the account: it may have ended in between.
    return scope !== "SESSION" && canEnd(before, before.sessions[id]) ? [nothing, done] : [nothing];
  },

  revokeSession(world, { user, by, session: id }) {
    const { world: after, ended } = end(world, (other, session) => other === id && session.user === user);
    return asBearer(world, by, ended > 0 ? [{}, after] : [{ refusal: "SESSION_NOT_FOUND" }, world]);
  },

  getMe(world, { user, by }) {
    return [[isSignedIn(world, user, by) ? { user, session: by.session } : INVALID_TOKEN, world]];
  },

  listSessions(world, { user, by }) {
    const sessions = Object.keys(world.sessions).filter((id) => {
      const session = world.sessions[id];
      return session?.user === user && canEnd(world, session) && session.idleEnd > world.now;
    });
    return asBearer(world, by, [{ sessions: sessions.sort() }, world]);
  },

  block: (world, { user, until }) =>
    asAdmin(world, user, [{ active: false }, endAll(withAccount(world, user, { blockedUntil: until }), user)]),

  unblock: (world, { user }) => asAdmin(world, user, [{ active: true }, withAccount(world, user, { blockedUntil: 0 })]),

  revokeAll(world, { user }) {
    const { world: after, ended } = end(world, (_, session) => session.user === user);
    return asAdmin(world, user, [{ ended }, after]);
  },

  deleteUser: (world, { user }) =>
    asAdmin(world, user, [{}, endAll(withAccount(world, user, { deleted: true, reset: null }), user)]),

  changePassword(world, { user, by, current, password }) {
    if (!isSignedIn(world, user, by)) return [[INVALID_TOKEN, world]];
    if (world.accounts[user]?.password !== current) return [[INVALID_CREDENTIALS, world]];
    return [[{}, endOthers(withAccount(world, user, { password, reset: null }), user, by.session)]];
  },

  requestReset(world, { user }) {
    if (world.accounts[user]?.deleted) return [[{}, world]];
    return [[{}, withAccount(world, user, { reset: { id: UNKNOWN, expiresAt: world.now + RESET_TTL } })]];
  },

  resetPassword(world, { user, id, password }) {
    const reset = world.accounts[user]?.reset;
    if (reset?.id !== id || reset.expiresAt <= world.now) return [[INVALID_TOKEN, world]];
    return [[{}, endAll(withAccount(world, user, { password, reset: null }), user)]];
  },
};
