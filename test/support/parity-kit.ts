import type { DescMessage, DescMethodUnary, JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { newPerson, readMail, signIn, type signInAdmin } from "./people.ts";
import type { TestService } from "./service.ts";
import type { Outcome, WayIn } from "./ways-in.ts";

/** A service, and the only admin of it. */
export interface World {
  readonly service: TestService;
  readonly admin: Awaited<ReturnType<typeof signInAdmin>>;
}

/** One call, made ready for one way in; `token` is the caller's bearer. */
export interface Plan<Request = object> {
  readonly request: Request;
  readonly token?: string;
}

/** The plain HTTP route of a call: its status, and the body that an answer makes. */
export interface RestForm {
  readonly route: string;
  readonly status: number;
  readonly body: (answer: JsonObject) => object;
}

/** A call that must come out the same by every way in; `reason` is why it is refused, "" when it is not. */
export interface Case {
  readonly title: string;
  readonly reason: string;
  readonly rest: readonly RestForm[];
  readonly arrange: (world: World) => Promise<Plan>;
  readonly call: (way: WayIn, plan: Plan, headers: Readonly<Record<string, string>>) => Promise<Outcome>;
}

/** Builds a case of a call whose request has the RPC's type. */
export function row<I extends DescMessage, O extends DescMessage>(
  title: string,
  rpc: DescMethodUnary<I, O>,
  arrange: (world: World) => Promise<Plan<MessageInitShape<I>>>,
  { reason = "", rest = [] }: { readonly reason?: string; readonly rest?: readonly RestForm[] } = {},
): Case {
  return {
    ...{ title, reason, rest },
    arrange: async (world) => ({ ...(await arrange(world)) }),
    call: (way, { request }, headers) => way.call(rpc, request as MessageInitShape<I>, headers),
  };
}

/** Somebody whose address is confirmed. */
export async function person({ service, admin }: World) {
  const given = { ...newPerson(), emailConfirmed: true };
  const { user } = await service.admin.createUser(given, admin.options);
  return { ...given, id: user?.id ?? 0n };
}

/** Somebody who is signed in. */
export async function signedIn(world: World) {
  const given = await person(world);
  return { ...given, ...(await signIn(world.service, given)) };
}

/** Somebody whose address is not confirmed. */
export async function signedUp({ service }: World) {
  const given = newPerson();
  await service.auth.signUp(given);
  return given;
}

/** The newest mail to an address that two people have signed up with. */
export async function contested(world: World) {
  const given = await signedUp(world);
  await world.service.auth.signUp({ ...given, password: "another person's" }).catch(() => {});
  return readMail(world.service, given.email, 2);
}

/** Somebody who is blocked. */
export async function blocked(world: World) {
  const given = await person(world);
  await world.service.admin.setUserActive({ userId: given.id, isActive: false }, world.admin.options);
  return given;
}

const account = (user: unknown) => {
  const { id, username, email, isActive } = user as JsonObject;
  return { id, username, email, is_active: isActive };
};
const pair = (tokens: unknown) => {
  const { accessToken, refreshToken, tokenType, expiresIn } = tokens as JsonObject;
  const pair = { access_token: accessToken, refresh_token: refreshToken, token_type: tokenType, expires_in: expiresIn };
  return { ...pair, refresh_expires_in: 30 * 86_400 };
};
const says = (message: string) => () => ({ message });

/** The REST routes of api.md section 3, with the status that is expected of each. */
export const REST = {
  signUp: ({ old = 422, api = 422 } = {}): RestForm[] => [
    { route: "POST /auth/signup", status: old, body: ({ user }) => account(user) },
    { route: "POST /api/auth/signup", status: api, body: newAccount },
  ],
  signIn: (status: number): RestForm[] =>
    ["/sign-in", "/auth/login", "/api/auth/login"].map((path) => ({
      ...{ route: `POST ${path}`, status },
      body: ({ tokens, user }) => ({ ...pair(tokens), user: account(user) }),
    })),
  refresh: (status: number): RestForm[] => [
    { route: "POST /auth/refresh", status, body: ({ tokens }) => pair(tokens) },
  ],
  me: (status: number): RestForm[] => [{ route: "GET /auth/me", status, body: ({ user }) => account(user) }],
  signOut: (): RestForm[] => [{ route: "POST /auth/logout", status: 200, body: says("Logout successful") }],
  confirm: (status: number, message = ""): RestForm[] => [
    { route: "GET /api/auth/confirmed_email/{token}", status, body: says(message) },
  ],
  requestMail: (status: number, message = ""): RestForm[] => [
    { route: "POST /api/auth/request_email", status, body: says(message) },
  ],
  block: (status: number, message = ""): RestForm[] => [
    {
      ...{ route: "POST /api/auth/block_user/{user_id}", status },
      body: ({ user }) => ({ message, ...account(user) }),
    },
  ],
};

function newAccount({ user }: JsonObject): object {
  const { emailConfirmed, createTime } = user as JsonObject;
  const message = "User created. Check your email for confirmation.";
  return { ...account(user), email_confirmed: emailConfirmed, created_at: createTime, message };
}
