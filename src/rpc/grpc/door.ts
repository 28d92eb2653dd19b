import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
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
  const knock = (method: DescMethod, peer: string, headers: IncomingHttpHeaders): TurnedAway | null => {
    if (!headers["content-type"]?.startsWith("application/grpc")) return null;
    // The guard has put both there: the call's own deadline, and the grace.
    const timeoutMs = Number(parseGrpcTimeout(String(headers["grpc-timeout"]))) - DEADLINE_GRACE_MS;
    return door.knock({ method, peer, protocol: "grpc", header: headerOf(headers), timeoutMs });
  };
  return (session) => {
    const peer = canonicalAddress(session.socket.remoteAddress);
    const listeners = session.listeners("stream");
    session.removeAllListeners("stream");
    session.on("stream", (stream, headers, ...rest) => {
      const comeIn = () => {
        for (const listener of listeners) listener.call(session, stream, headers, ...rest);
      };
      const method = methods.get(headers[":path"] ?? "");
      if (!method) return comeIn();
      // Of a client that has gone away there is nothing to tell.
      stream.on("error", ignore);
      door.pace(() => {
        if (stream.closed || stream.destroyed) return false;
        const turned = knock(method, peer, headers);
        if (turned) turnAway(stream, turned);
        else comeIn();
        return !turned;
      });
    });
  };
}

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
