import {
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toJsonString,
} from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import type { User as UserMessage } from "../../gen/auth/v1/user_pb.ts";
import { AuthError } from "../auth/errors.ts";
import type { Block } from "../auth/user-lookup.ts";
import { reasonOf, violationsOf } from "../wire/error-details.ts";
import { createInvoke } from "./invoke.ts";
import { refusal } from "./reasons.ts";
import type { Routes } from "./routes.ts";

/** An account as an answer tells it. */
export interface Account
  extends Pick<UserMessage, "id" | "username" | "email" | "isActive" | "emailConfirmed" | "roles" | "locale"> {
  readonly createdAt: Date | null;
  readonly lastSignInAt: Date | null;
  /** Where one account is shown, the block that is in force: no RPC tells it. */
  readonly block?: Block | null;
}

/** What an RPC answered: its accounts, and the whole of it as proto JSON on one line. */
export interface Answer {
  readonly accounts: readonly Account[];
  /** Empty on the last page, and for other calls. */
  readonly nextPageToken: string;
  readonly json: string;
}

/** An operator's call was refused: reason, message, and a line for each faulty field. */
export class Refusal extends Error {
  readonly reason: string | undefined;

  constructor(reason: string | undefined, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What calls in the operator's name need of the app. */
export interface OperatorWay {
  readonly operatorRoutes: Routes;
  readonly findUser: (text: string) => Promise<{ readonly id: number }>;
}

/** The same, for calls that show an account. */
export interface AccountWay extends OperatorWay {
  readonly findBlock: (id: number) => Promise<Block | null>;
}

/** Calls an RPC as whoever has the database; throws Refusal. */
export type OperatorCall = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
) => Promise<MessageShape<O>>;

/** Builds the operator's way to call. */
export function createOperatorCall(operatorRoutes: Routes): OperatorCall {
  const invoke = createInvoke(operatorRoutes);
  return (method, request) => {
    const context = { header: new Headers(), peerAddress: "", signal: new AbortController().signal };
    return invoke(method, request, context).catch(refuse);
  };
}

/** Builds AdminService as whoever has the database calls it; `user` is an id, a username or an e-mail address. Throws Refusal. */
export function createOperator({ operatorRoutes, findUser, findBlock }: AccountWay) {
  const ask = createOperatorCall(operatorRoutes);
  const call = async <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<Answer> => {
    const message = await ask(method, request);
    return { ...readAccounts(message), json: toJsonString(method.output, message) };
  };
  const idOf = async (user: string) => BigInt((await findUser(user).catch(refuse)).id);
  const { getUser, listUsers, createUser, setUserActive, setUserRoles, deleteUser } = AdminService.method;

  return {
    create: (account: { username: string; email: string; password: string; locale: string; roles: string[] }) =>
      call(createUser, { ...account, emailConfirmed: true }),
    list: (page: { prefix: string; pageSize: number; pageToken: string }) => call(listUsers, page),
    show: async (user: string): Promise<Answer> => {
      const userId = await idOf(user);
      const [answer, block] = await Promise.all([call(getUser, { userId }), findBlock(Number(userId))]);
      return { ...answer, accounts: answer.accounts.map((account) => ({ ...account, block })) };
    },
    block: async (user: string, { reason, until }: { reason: string; until: Date | undefined }) => {
      const untilTime = until && { untilTime: timestampFromDate(until) };
      return call(setUserActive, { userId: await idOf(user), isActive: false, reason, ...untilTime });
    },
    unblock: async (user: string) => call(setUserActive, { userId: await idOf(user), isActive: true }),
    setRoles: async (user: string, roles: string[]) => call(setUserRoles, { userId: await idOf(user), roles }),
    /** By id alone: a name may be another account's since it was looked up. */
    delete: (userId: bigint) => call(deleteUser, { userId }),
  };
}

/** See createOperator. */
export type Operator = ReturnType<typeof createOperator>;

function readAccounts(message: MessageShape<DescMessage>): Omit<Answer, "json"> {
  const {
    user,
    users = user ? [user] : [],
    nextPageToken = "",
  } = message as {
    readonly user?: UserMessage;
    readonly users?: UserMessage[];
    readonly nextPageToken?: string;
  };
  return { accounts: users.map(toAccount), nextPageToken };
}

function toAccount({ createTime, lastSignInTime, ...user }: UserMessage): Account {
  return {
    ...user,
    createdAt: createTime ? timestampDate(createTime) : null,
    lastSignInAt: lastSignInTime ? timestampDate(lastSignInTime) : null,
  };
}

/** Throws the Refusal of an error that says why a call was refused, and any other as it is. */
export function refuse(error: unknown): never {
  const wire = error instanceof AuthError ? refusal(error.reason, error) : error;
  if (!(wire instanceof ConnectError)) throw error;
  const lines = violationsOf(wire).map(({ field, reason, description }) => `  ${field}: ${reason}, ${description}`);
  const reason = reasonOf(wire);
  throw new Refusal(reason, [`${reason ?? wire.code}: ${wire.rawMessage}`, ...lines].join("\n"));
}
