import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  type Interceptor,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import { AuthError, type Reason } from "../auth/errors.ts";
import type { Log } from "../log.ts";
import { reasonOf } from "../wire/error-details.ts";
import { refusal } from "./reasons.ts";
import { rpcName } from "./rpc-name.ts";
import { boundError } from "./wire-error.ts";

/** What a listener refuses a call for by itself; such a call goes no further than `endRefused`. */
export const refused = createContextKey<unknown>(undefined, { description: "refused" });

/** What the errors interceptor needs to know. */
export interface ErrorsOptions {
  readonly log: Log;
  /** Whether an error means that the database is away. */
  readonly isUnavailable: (error: unknown) => boolean;
}

/** Builds the interceptor that makes wire errors of all that is thrown further in, and logs what nobody foresaw. */
export function createErrors({ log, isUnavailable }: ErrorsOptions): Interceptor {
  const toWire = (error: unknown, req: Request): ConnectError => {
    const isCallers = error instanceof ConnectError && error === req.contextValues.get(refused);
    const known = isCallers && error.code === Code.Internal ? error : knownError(error);
    if (known && (isCallers || !isServerFault(known))) return boundError(known);
    const fields = { rpc: rpcName(req.method), error };
    if (!known && isUnavailable(error)) {
      log.warn(fields, "database away");
      return boundError(refusal("UNAVAILABLE"));
    }
    log.error(fields, "call failed");
    return boundError(known ?? refusal("INTERNAL"));
  };
  return (next) => async (req) => {
    try {
      const res = await next(req.stream ? { ...req, message: readable(req.message, req.contextValues) } : req);
      if (!res.stream) return res;
      return { ...res, message: translated(res.message, (error) => toWire(error, req)) };
    } catch (error) {
      throw toWire(error, req);
    }
  };
}

/** Ends what a listener has refused: the interceptors before this one tell of it, and nothing after it is called. */
export const endRefused: Interceptor = (next) => (req) => {
  const fault = req.contextValues.get(refused);
  return fault === undefined ? next(req) : Promise.reject(fault);
};

/** The error for a payload that is no message of the RPC. */
export function invalidPayload(): ConnectError {
  return refusal("INVALID_ARGUMENT");
}

/** The error for a message that Connect could not read, which it calls `internal` for the most part. */
export function unreadable(error: ConnectError): ConnectError {
  // The code that gRPC asks for, though it is the caller's doing.
  if (error.rawMessage.startsWith("received compressed envelope"))
    return new ConnectError("Message compressed in no known way", Code.Internal);
  return invalidPayload();
}

type Request = UnaryRequest | StreamRequest;

function knownError(error: unknown): ConnectError | undefined {
  if (error instanceof AuthError) return refusal(error.reason, error);
  if (error instanceof ConnectError) return reasonOf(error) ? error : libraryError(error);
  if (error instanceof Error && error.name === "TimeoutError") return refusal("DEADLINE_EXCEEDED");
  if (error instanceof Error && error.name === "AbortError") return new ConnectError("Canceled", Code.Canceled);
  return undefined;
}

// Reasons of errors that Connect itself makes.
const LIBRARY_REASONS: Partial<Record<Code, Reason>> = {
  [Code.InvalidArgument]: "INVALID_ARGUMENT",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.Internal]: "INTERNAL",
};

function libraryError(error: ConnectError): ConnectError {
  const reason = LIBRARY_REASONS[error.code];
  return reason ? refusal(reason) : error;
}

function isServerFault({ code }: ConnectError): boolean {
  return code === Code.Internal || code === Code.Unknown || code === Code.DataLoss;
}

// Connect reads the messages of a stream inside the interceptors.
async function* readable<T>(messages: AsyncIterable<T>, contextValues: ContextValues): AsyncGenerator<T> {
  yield* translated(messages, (error) => {
    if (!(error instanceof ConnectError) || error.code !== Code.Internal) return error;
    const refusal = unreadable(error);
    contextValues.set(refused, refusal);
    return refusal;
  });
}

async function* translated<T>(messages: AsyncIterable<T>, translate: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw translate(error);
  }
}
