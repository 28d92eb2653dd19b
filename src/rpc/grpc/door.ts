import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Door, TurnedAway } from "../door.ts";
import { DEADLINE_GRACE_MS, parseGrpcTimeout } from "../limits.ts";
import { canonicalAddress } from "../peer.ts";
import { rpcName } from "../rpc-name.ts";
import { toStatus } from "./status.ts";

/**
 * Builds what has the calls of a connection knock at the door before grpc-js hears of them: a refusal then costs
 * half as much, and nothing is made of the call but its HTTP/2 stream.
 */
export function createGrpcDoor(door: Door): (session: ServerHttp2Session) => void {
  const methods = new Map([...door.watched].map((method) => [`/${rpcName(method)}`, method]));
  return (session) => {
    const peer = canonicalAddress(session.socket.remoteAddress);
    const listeners = session.listeners("stream");
    session.removeAllListeners("stream");
    session.on("stream", (stream, headers, ...rest) => {
      const comeIn = () => {
        for (const listener of listeners) listener.call(session, stream, headers, ...rest);
      };
      const method = methods.get(headers[":path"] ?? "");
      if (!method || !headers["content-type"]?.startsWith("application/grpc")) return comeIn();
      // Of a client that has gone away there is nothing to tell.
      stream.on("error", ignore);
      // The guard has put both there: the call's own deadline, and the grace.
      const timeoutMs = Number(parseGrpcTimeout(String(headers["grpc-timeout"]))) - DEADLINE_GRACE_MS;
      const call = { method, peer, protocol: "grpc", header: headerOf(headers), timeoutMs };
      const isGone = () => stream.closed || stream.destroyed;
      // Of a request that has ended with nothing in it, grpc-js would never hear the end any more.
      const comeInWhole = () => (stream.readableEnded ? refuse(stream, NO_MESSAGE) : comeIn());
      door.receive(call, { isGone, comeIn: comeInWhole, turnAway: (turned) => turnAway(stream, turned) });
    });
  };
}

const NO_MESSAGE = new ConnectError("Received no request message", Code.Unimplemented);

function turnAway(stream: ServerHttp2Stream, turned: TurnedAway): void {
  stream.resume();
  turned((error) => refuse(stream, error));
}

function ignore(): void {}

function refuse(stream: ServerHttp2Stream, error: ConnectError): void {
  if (stream.closed || stream.destroyed) return;
  stream.respond(trailersOf(error), { endStream: true });
  // RFC 9113 section 8.1: what the client still sends is not wanted.
  if (!stream.readableEnded) stream.close();
}

// There are few such errors, and each is encoded once.
const known = new WeakMap<ConnectError, OutgoingHttpHeaders>();

function trailersOf(error: ConnectError): OutgoingHttpHeaders {
  const made = known.get(error) ?? encode(error);
  known.set(error, made);
  return made;
}

/** An answer of trailers alone. */
function encode(error: ConnectError): OutgoingHttpHeaders {
  const { code, details, metadata } = toStatus(error, new Headers());
  const status = { "grpc-status": code, "grpc-message": encodeURI(details) };
  return { ":status": 200, "content-type": "application/grpc+proto", ...status, ...metadata?.toHttp2Headers() };
}

function headerOf(headers: IncomingHttpHeaders): Pick<Headers, "get"> {
  return {
    get(name) {
      const value = headers[name];
      return Array.isArray(value) ? value.join(", ") : (value ?? null);
    },
  };
}
