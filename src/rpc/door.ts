import { type DescMethod, isMessage, type Message } from "@bufbuild/protobuf";
import { Code, type ConnectError, type Interceptor } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { AuthService, ConfirmEmailRequestSchema } from "../../gen/auth/v1/auth_service_pb.ts";
import { networkOf } from "../address-network.ts";
import type { AddressRange } from "../address-range.ts";
import { spreadRetryMs } from "../auth/appointments.ts";
import type { Audit } from "../auth/audit.ts";
import type { AuditEventType } from "../db/audit-recording.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { createHolding } from "./holding.ts";
import { parseGrpcTimeout, UNARY_DEADLINE_MS } from "./limits.ts";
import { createFindOrigin } from "./origin.ts";
import { createPace } from "./pacing.ts";
import { peerAddress, protocol } from "./peer.ts";
import { refusal } from "./reasons.ts";
import { rpcName } from "./rpc-name.ts";
import { presentedKeys } from "./service-credentials.ts";
import { boundError } from "./wire-error.ts";

/** What there is little of: hashes, and turns of strangers with the database. */
type Room = "hash" | "turn";

/** What the door needs to know. */
export interface DoorOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly isTrustedProxy: AddressRange;
  /** See Admission's `retryAfter`. */
  readonly rooms: Readonly<Record<Room, (address: string, remainingMs: number) => number | null>>;
}

/** Turns calls of strangers away that could only be refused further in, before anything is done for them. */
export interface Door {
  /** RPCs that it may turn away. */
  readonly watched: ReadonlySet<DescMethod>;
  /** Has such a call knock when its turn comes, since they come in crowds; turns it away when too many wait for that. */
  receive(call: Knock, visitor: Visitor): void;
  /** What a call is to be refused with; null: it may come in. */
  knock(call: Knock): TurnedAway | null;
}

/** Whoever waits at the door. */
export interface Visitor {
  isGone(): boolean;
  comeIn(): void;
  turnAway(turned: TurnedAway): void;
}

/** What the door looks at. */
export interface Knock {
  readonly method: DescMethod;
  readonly peer: string;
  readonly protocol: string;
  readonly header: Pick<Headers, "get">;
  /** How many milliseconds it has; NaN: it does not say so rightly. */
  readonly timeoutMs: number;
  /** Unset where it was not read. */
  readonly message?: Message;
}

/** A refusal: calls back with the error when it is to be told, which is at once for one alone and later in a crowd. */
export type TurnedAway = (tell: (error: ConnectError) => void) => void;

/** What anybody may ask for, where there must be room for it, and what the audit log calls its refusal. */
const WANTED = new Map<DescMethod, readonly [Room, AuditEventType]>([
  [AuthService.method.signIn, ["hash", "sign_in_failed"]],
  [AuthService.method.signUp, ["hash", "sign_up_refused"]],
  [AuthService.method.confirmEmail, ["turn", "email_confirmation_failed"]],
  [AuthService.method.requestEmailConfirmation, ["turn", "confirmation_requested"]],
  [AuthService.method.requestPasswordReset, ["turn", "password_reset_requested"]],
]);

// Times are told in steps, for each of which an error is made and encoded once; what is far off was spread by more.
const STEPS = { nearMs: 100, farMs: 1_000, farFromMs: 5_000 };
// When to come again where too many wait at the door itself.
const CROWDED_MS = 2_000;
const REFUSED = { code: codeToString(Code.Unavailable), reason: "OVERLOADED" };

/**
 * Builds the door: it refuses at a fraction of the cost of a refusal from within and with one line of the log for a
 * second of them, so that a flood of refusals takes little from all else. Who hammers on does so the less often for being
 * held back a little.
 */
export function createDoor(audit: Audit, { log, metrics, isTrustedProxy, rooms }: DoorOptions): Door {
  const findOrigin = createFindOrigin(isTrustedProxy);
  const refusals = new Map<number, ConnectError>();
  const tally = createTally(log);
  const hold = createHolding();
  const pace = createPace();
  const refusalAfter = (ms: number): ConnectError => {
    const stepMs = ms > STEPS.farFromMs ? STEPS.farMs : STEPS.nearMs;
    const retryAfterMs = Math.ceil(ms / stepMs) * stepMs;
    const made = refusals.get(retryAfterMs) ?? boundError(refusal("OVERLOADED", { retryAfterMs }));
    refusals.set(retryAfterMs, made);
    return made;
  };
  // Whether a gateway's key is good, and whose the address is then, is known only further in.
  const addressOf = ({ peer, header }: Knock): string =>
    findOrigin({ peer, forwardedFor: header.get("x-forwarded-for"), fromGateway: false }).address;

  const turnAway = ({ method, protocol }: Knock, type: AuditEventType, address: string, ms: number): TurnedAway => {
    audit.note({ type, reason: "OVERLOADED", actor: "anyone", address });
    tally();
    const error = refusalAfter(ms);
    return (tell) =>
      hold((heldMs) => {
        metrics.callEnded({ ...REFUSED, rpc: rpcName(method), protocol, ms: heldMs });
        tell(error);
      });
  };

  const knock = (call: Knock, address = addressOf(call)): TurnedAway | null => {
    const { method, header, timeoutMs, message } = call;
    const wanted = WANTED.get(method);
    if (!wanted || presentedKeys(header).length > 0 || mayHoldToken(method, message)) return null;
    const [room, type] = wanted;
    const ms = rooms[room](address, timeoutMs);
    return ms === null ? null : turnAway(call, type, address, ms);
  };

  return {
    watched: new Set(WANTED.keys()),
    receive(call, visitor) {
      const wanted = WANTED.get(call.method);
      if (!wanted) return visitor.comeIn();
      const address = addressOf(call);
      const takeUp = () => {
        if (visitor.isGone()) return;
        const turned = knock(call, address);
        if (turned) visitor.turnAway(turned);
        else visitor.comeIn();
      };
      if (!pace(networkOf(address), takeUp))
        visitor.turnAway(turnAway(call, wanted[1], address, spreadRetryMs(CROWDED_MS)));
    },
    knock,
  };
}

/** The door as the interceptor that stands before all others. */
export function doorInterceptor(door: Door): Interceptor {
  return (next) => async (req) => {
    const { method, header, contextValues, signal } = req;
    const [peer, name] = [contextValues.get(peerAddress), contextValues.get(protocol)];
    const message = req.stream ? {} : { message: req.message };
    const call = { method, header, peer, protocol: name, timeoutMs: timeoutOf(header, name), ...message };
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof next>>>();
    const comeIn = () => resolve(next(req));
    const turnAway = (turned: TurnedAway) => turned(reject);
    const isGone = () => {
      if (signal.aborted) reject(signal.reason);
      return signal.aborted;
    };
    // Calls over gRPC have had their turn before grpc-js heard of them; now there is a message as well.
    if (name !== "grpc") door.receive(call, { isGone, comeIn, turnAway });
    else {
      const turned = door.knock(call);
      if (turned) turnAway(turned);
      else comeIn();
    }
    return promise;
  };
}

function timeoutOf(header: Headers, protocol: string): number {
  const given = header.get(protocol === "connect" ? "connect-timeout-ms" : "grpc-timeout");
  if (given === null) return UNARY_DEADLINE_MS;
  return Number(protocol === "connect" ? given : parseGrpcTimeout(given));
}

/** Whether it may confirm with the token of a link, which waits for no turn. */
function mayHoldToken(method: DescMethod, message: Message | undefined): boolean {
  if (method !== AuthService.method.confirmEmail) return false;
  return !isMessage(message, ConfirmEmailRequestSchema) || message.token !== "";
}

/** Counts one more; logs how many there were in each second. */
function createTally(log: Log): () => void {
  let count = 0;
  const end = () => {
    log.warn({ refused: count }, "no room: calls were refused at the door");
    count = 0;
  };
  return () => {
    if (count === 0) setTimeout(end, 1000).unref();
    count += 1;
  };
}
