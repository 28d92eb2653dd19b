import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { createContextKey, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { Access, access } from "../../gen/auth/v1/options_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { AuthError } from "../auth/errors.ts";
import type { Caller } from "../auth/sessions.ts";

const callerKey = createContextKey<Caller | null>(null, { description: "caller" });

/** Lets a call through if its RPC's `access` option allows the caller; an RPC without the option is refused. */
export function createCaller({ sessions, admin }: Auth): Interceptor {
  const requireBearer = async (header: Headers): Promise<Caller> => {
    const caller = await authenticate(header);
    if (!caller) throw new AuthError("INVALID_TOKEN");
    return caller;
  };
  const authenticate = async (header: Headers): Promise<Caller | null> => {
    const [, token] = /^bearer +([^ ]+) *$/i.exec(header.get("authorization") ?? "") ?? [];
    return token === undefined ? null : sessions.authenticate(token);
  };
  const admit = async (method: DescMethod, header: () => Headers): Promise<Caller | null> => {
    switch (getOption(method, access)) {
      case Access.ANYONE:
        return null;
      case Access.OPTIONAL_BEARER:
        return authenticate(header());
      case Access.BEARER:
        return requireBearer(header());
      case Access.ADMIN: {
        const caller = await requireBearer(header());
        await admin.requireAdmin(caller);
        return caller;
      }
      default:
        throw new AuthError("PERMISSION_DENIED");
    }
  };
  return (next) => async (req) => {
    const caller = await admit(req.method, () => req.header);
    if (caller) req.contextValues.set(callerKey, caller);
    return next(req);
  };
}

/** Who calls, if that is known. */
export function findCaller(context: HandlerContext): Caller | null {
  return context.values.get(callerKey);
}

/** Who calls an RPC that needs a bearer. */
export function requireCaller(context: HandlerContext): Caller {
  const caller = findCaller(context);
  if (!caller) throw new AuthError("INVALID_TOKEN");
  return caller;
}
