import { ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import type { Log } from "../log.ts";
import { type Metrics, NO_METRICS } from "../metrics.ts";
import { reasonOf } from "../wire/error-details.ts";
import { peerAddress, protocol, routePattern } from "./peer.ts";
import { rpcName } from "./rpc-name.ts";

/** How a call ended, without anything that its caller sent. */
interface Outcome {
  readonly code: string;
  readonly reason?: string;
}

/** Builds the interceptor that counts each call and writes one line of it, with nothing that the caller sent. */
export function createAccessLog(log: Log, metrics: Metrics = NO_METRICS): Interceptor {
  return (next) => async (req) => {
    const started = performance.now();
    const write = ({ code, reason }: Outcome) => {
      const ms = elapsed(started);
      const call = describe(req);
      metrics.callEnded({ rpc: call.rpc, protocol: call.protocol, code, reason: reason ?? "", ms });
      log.info({ ...call, code, ...(reason && { reason }), ms }, "call");
    };
    try {
      const res = await next(req);
      if (res.stream) return { ...res, message: logged(res.message, write) };
      write({ code: "ok" });
      return res;
    } catch (error) {
      write(failure(error));
      throw error;
    }
  };
}

function describe(req: UnaryRequest | StreamRequest) {
  const route = req.contextValues.get(routePattern);
  return {
    rpc: rpcName(req.method),
    protocol: req.contextValues.get(protocol),
    peer: req.contextValues.get(peerAddress),
    ...(route && { route }),
  };
}

function failure(error: unknown): Outcome {
  if (!(error instanceof ConnectError)) return { code: "unknown" };
  const reason = reasonOf(error);
  return { code: codeToString(error.code), ...(reason && { reason }) };
}

function elapsed(started: number): number {
  return Math.round((performance.now() - started) * 10) / 10;
}

async function* logged<T>(messages: AsyncIterable<T>, write: (outcome: Outcome) => void): AsyncGenerator<T> {
  let outcome: Outcome = { code: "canceled" };
  try {
    yield* messages;
    outcome = { code: "ok" };
  } catch (error) {
    outcome = failure(error);
    throw error;
  } finally {
    write(outcome);
  }
}
