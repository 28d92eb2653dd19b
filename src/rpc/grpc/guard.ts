import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { constants, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  clampGrpcTimeout,
  DEADLINE_GRACE_MS,
  longestDeadline,
  MAX_HEADER_BYTES,
  UNARY_DEADLINE_MS,
} from "../limits.ts";
import { createInternValues } from "./interned-values.ts";

const STREAM_CREATED = "http2.server.stream.created";

interface StreamCreated {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
}

/** What guarding needs beside the port. */
export interface GuardOptions {
  readonly unaryPaths: ReadonlySet<string>;
  /** A connection asks for the first time; nothing else has heard of it then. */
  readonly onSession: (session: ServerHttp2Session) => void;
  readonly onStream: (socket: Socket | TLSSocket) => void;
}

/**
 * Bounds headers and deadlines of calls that come in on a port, and what is kept of those that are over, until the
 * returned function is called; tells of each call's connection.
 *
 * grpc-js reads the deadline before any interceptor of its own and takes it as 32 bits, so that a huge one has passed
 * at once; it has no setting for either bound. Node publishes each request's headers on this channel before grpc-js
 * sees them.
 */
export function guardStreams(port: number, { unaryPaths, onSession, onStream }: GuardOptions): () => void {
  const known = new WeakSet<ServerHttp2Session>();
  const internValues = createInternValues();
  const guard = (message: unknown) => {
    const { stream, headers } = message as StreamCreated;
    const session = stream.session as ServerHttp2Session | undefined;
    if (!session || session.destroyed || session.socket.localPort !== port) return;
    onStream(session.socket);
    internValues(headers);
    stream.once("close", forgetListeners);
    if (!known.has(session)) onSession(session);
    known.add(session);
    if (headerBytes(headers) > MAX_HEADER_BYTES) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else boundDeadline(headers, unaryPaths.has(headers[":path"] ?? ""));
  };
  subscribe(STREAM_CREATED, guard);
  return () => unsubscribe(STREAM_CREATED, guard);
}

// What listens to a stream names its call; see replaceStreamTables for what then keeps both.
function forgetListeners(this: ServerHttp2Stream): void {
  this.removeAllListeners();
  this.on("error", ignore);
}

function ignore(): void {}

function boundDeadline(headers: IncomingHttpHeaders, isUnary: boolean): void {
  const given = headers["grpc-timeout"];
  if (given === undefined && !isUnary) return;
  const value = given === undefined ? `${UNARY_DEADLINE_MS}m` : String(given);
  const longest = longestDeadline(isUnary ? "unary" : "server_streaming");
  // grpc-js finds a deadline inside other text too, and refuses this word.
  headers["grpc-timeout"] = clampGrpcTimeout(value, longest, DEADLINE_GRACE_MS) ?? "malformed";
}

// As HTTP/2 counts them (RFC 9113 section 6.5.2).
function headerBytes(headers: IncomingHttpHeaders): number {
  let bytes = 0;
  for (const name in headers) {
    const value = headers[name] ?? "";
    if (typeof value === "string") bytes += name.length + value.length + 32;
    else for (const part of value) bytes += name.length + part.length + 32;
  }
  return bytes;
}
