import { ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import type { Log } from "../log.ts";
import { reasonOf } from "../wire/error-details.ts";
import { rpcName } from "./errors.ts";
import { peerAddress, protocol, routePattern } from "./peer.ts";

/** Builds the outermost interceptor: one line per call, with nothing that the caller sent. */
export function createAccessLog(log: Log): Interceptor {
  return (next) => async (req) => {
    const started = performance.now();
    const write = (outcome: object) => log.info({ ...describe(req), ...outcome, ms: elapsed(started) }, "call");
    try {
      const res = await next(req);
      if (res.stream) return { ...res, message: logged(res.message, write) };
      write({ code: "ok" });
      return res;
    } catch (err) {
      write(failure(err));
      throw err;
    }
  };
}

function describe(req: UnaryRequest | StreamRequest) {
  const route = req.contextValues.get(routePattern);
  return {
    rpc: rpcName(req),
    protocol: req.contextValues.get(protocol),
    peer: req.contextValues.get(peerAddress),
    ...(route && { route }),
  };
}

function failure(err: unknown) {
  if (!(err instanceof ConnectError)) return { code: "unknown" };
  const reason = reasonOf(err);
  return { code: codeToString(err.code), ...(reason && { reason }) };
}

function elapsed(started: number): number {
  return Math.round((performance.now() - started) * 10) / 10;
}

async function* logged<T>(messages: AsyncIterable<T>, write: (outcome: object) => void): AsyncGenerator<T> {
  let outcome: object = { code: "canceled" };
  try {
    yield* messages;
    outcome = { code: "ok" };
  } catch (err) {
    outcome = failure(err);
    throw err;
  } finally {
    write(outcome);
  }
}
