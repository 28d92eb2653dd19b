import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { packDetail } from "../../src/rpc/wire-error.ts";

/**
 * Takes Latchkey's own detail off every error: the suite counts details, and a missed deadline, for one, is to have none.
 */
export const withoutReasons: Interceptor = (next) => async (req) => {
  try {
    const res = await next(req);
    return res.stream ? { ...res, message: translated(res.message) } : res;
  } catch (err) {
    throw withoutReason(err);
  }
};

async function* translated<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (err) {
    throw withoutReason(err);
  }
}

function withoutReason(err: unknown): unknown {
  if (err instanceof ConnectError)
    err.details = err.details.filter((detail) => packDetail(detail)?.type !== "google.rpc.ErrorInfo");
  return err;
}
