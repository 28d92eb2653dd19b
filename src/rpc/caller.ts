import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { type ContextValues, createContextKey, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { Access, access } from "../../gen/auth/v1/options_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { AuthError } from "../auth/errors.ts";
import { serviceKeyId } from "../auth/service-key.ts";
import type { Caller } from "../auth/sessions.ts";
import type { ServiceKey, ServiceScope } from "../db/service-keys.ts";
import { bearerOf } from "../token/bearer.ts";
import { presentedKey, presentedKeys, speaksForService } from "./service-credentials.ts";

/** Who calls: a person by an access token, or another service by its key. */
interface Callers {
  readonly person?: Caller;
  readonly service?: ServiceKey;
  /** Whoever has the database: the operator at a terminal. */
  readonly operator?: true;
  /** The id in a key that was presented and is not good; null where it has not the form of one. */
  readonly refusedKeyId?: string | null;
  /** Whether they may make the call; what refuses it after that is the rules. */
  readonly isAdmitted?: true;
}

type Tell = (callers: Callers) => void;

const callersKey = createContextKey<Callers>({}, { description: "callers" });

/** Lets a call through if its RPC's `access` option allows the caller; an RPC without the option is refused. */
export function createCaller({ sessions, admin, serviceKeys }: Auth): Interceptor {
  // Fail closed: who presents a key means to be known by it, also where nobody need be.
  const findService = async (header: Headers, tell: Tell): Promise<Callers> => {
    const services: ServiceKey[] = [];
    for (const key of presentedKeys(header)) {
      const service = await serviceKeys.authenticate(key);
      if (!service) {
        tell({ refusedKeyId: serviceKeyId(key) });
        throw new AuthError("INVALID_TOKEN");
      }
      services.push(service);
    }
    const [service] = services;
    // HTTP Basic may be meant for somebody on the way here: without a key it is a bad one only where one is needed.
    return { ...(service && { service }), ...(presentedKey(header) === "" && { refusedKeyId: null }) };
  };
  const findPerson = async (header: Headers): Promise<Caller | null> => {
    const token = bearerOf(header.get("authorization"));
    return token === null ? null : sessions.authenticate(token);
  };
  const requirePerson = async (header: Headers): Promise<Caller> => {
    const person = await findPerson(header);
    if (!person) throw new AuthError("INVALID_TOKEN");
    return person;
  };
  const requireAdmin = async (header: Headers, known: Callers, tell: Tell): Promise<Callers> => {
    if (known.service && speaksForService(header)) return requireScope(known, "admin");
    const callers = { ...known, person: await requirePerson(header) };
    tell(callers);
    await admin.requireAdmin(callers.person);
    return callers;
  };
  // Asking a descriptor takes longer than all the rest of this.
  const declared = new Map<DescMethod, Access>();
  const accessOf = (method: DescMethod): Access => {
    const known = declared.get(method) ?? getOption(method, access);
    declared.set(method, known);
    return known;
  };
  const admit = async (method: DescMethod, header: Headers, known: Callers, tell: Tell): Promise<Callers> => {
    switch (accessOf(method)) {
      case Access.ANYONE:
        return known;
      case Access.OPTIONAL_BEARER: {
        const person = await findPerson(header);
        return person ? { ...known, person } : known;
      }
      case Access.BEARER:
        return { ...known, person: await requirePerson(header) };
      case Access.ADMIN:
        return requireAdmin(header, known, tell);
      case Access.INTROSPECT:
        return requireScope(known, "introspect");
      case Access.WATCH:
        return requireScope(known, "watch");
      default:
        throw new AuthError("PERMISSION_DENIED");
    }
  };
  return (next) => async (req) => {
    const tell: Tell = (callers) => void req.contextValues.set(callersKey, callers);
    const known = await findService(req.header, tell);
    // Told before it is known whether they may: who was refused is known then.
    tell(known);
    tell({ ...(await admit(req.method, req.header, known, tell)), isAdmitted: true });
    return next(req);
  };
}

function requireScope(callers: Callers, scope: ServiceScope): Callers {
  const { service, refusedKeyId } = callers;
  if (!service || refusedKeyId !== undefined) throw new AuthError("INVALID_TOKEN");
  if (!service.scopes.includes(scope)) throw new AuthError("PERMISSION_DENIED");
  return callers;
}

/** Lets every call through, as the operator's. */
export const operatorCaller: Interceptor = (next) => (req) => {
  req.contextValues.set(callersKey, { operator: true, isAdmitted: true });
  return next(req);
};

/** Everybody who speaks in a call. */
export function callersOf(values: ContextValues): Callers {
  return values.get(callersKey);
}

/** The person who calls, if that is known. */
export function findCaller(context: HandlerContext): Caller | null {
  return context.values.get(callersKey).person ?? null;
}

/** The person who calls an RPC that needs a bearer. */
export function requireCaller(context: HandlerContext): Caller {
  const caller = findCaller(context);
  if (!caller) throw new AuthError("INVALID_TOKEN");
  return caller;
}

/** The service that calls an RPC which needs a service key. */
export function requireServiceCaller(context: HandlerContext): ServiceKey {
  const { service } = context.values.get(callersKey);
  if (!service) throw new AuthError("INVALID_TOKEN");
  return service;
}
