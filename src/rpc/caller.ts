import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { type ContextValues, createContextKey, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { Access, access } from "../../gen/auth/v1/options_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { AuthError } from "../auth/errors.ts";
import type { Caller } from "../auth/sessions.ts";
import type { ServiceKey, ServiceScope } from "../db/service-keys.ts";
import { bearerOf } from "../token/bearer.ts";
import { KEY_HEADER, presentedKey, speaksForService } from "./service-credentials.ts";

/** Who calls: a person by an access token, or another service by its key. */
interface Callers {
  readonly person?: Caller;
  readonly service?: ServiceKey;
  /** Whoever has the database: the operator at a terminal. */
  readonly operator?: true;
  /** Whether they may make the call; what refuses it after that is the rules. */
  readonly isAdmitted?: true;
}

type Recognise = (person: Caller) => void;

const callersKey = createContextKey<Callers>({}, { description: "callers" });

/** Lets a call through if its RPC's `access` option allows the caller; an RPC without the option is refused. */
export function createCaller({ sessions, admin, serviceKeys }: Auth): Interceptor {
  const findPerson = async (header: Headers): Promise<Caller | null> => {
    const token = bearerOf(header.get("authorization"));
    return token === null ? null : sessions.authenticate(token);
  };
  const requirePerson = async (header: Headers): Promise<Caller> => {
    const person = await findPerson(header);
    if (!person) throw new AuthError("INVALID_TOKEN");
    return person;
  };
  const requireService = async (header: Headers, scope: ServiceScope): Promise<ServiceKey> => {
    const key = presentedKey(header);
    const service = key === null ? null : await serviceKeys.authenticate(key);
    if (!service) throw new AuthError("INVALID_TOKEN");
    if (!service.scopes.includes(scope)) throw new AuthError("PERMISSION_DENIED");
    return service;
  };
  const requireAdmin = async (header: Headers, recognise: Recognise): Promise<Callers> => {
    if (presentedKey(header) !== null && speaksForService(header))
      return { service: await requireService(header, "admin") };
    const person = await requirePerson(header);
    recognise(person);
    await admin.requireAdmin(person);
    return { person };
  };
  // Asking a descriptor takes longer than all the rest of this.
  const declared = new Map<DescMethod, Access>();
  const accessOf = (method: DescMethod): Access => {
    const known = declared.get(method) ?? getOption(method, access);
    declared.set(method, known);
    return known;
  };
  const admit = async (method: DescMethod, header: () => Headers, recognise: Recognise): Promise<Callers> => {
    switch (accessOf(method)) {
      case Access.ANYONE:
        return {};
      case Access.OPTIONAL_BEARER: {
        const person = await findPerson(header());
        return person ? { person } : {};
      }
      case Access.BEARER:
        return { person: await requirePerson(header()) };
      case Access.ADMIN:
        return requireAdmin(header(), recognise);
      case Access.INTROSPECT:
        return { service: await requireService(header(), "introspect") };
      case Access.WATCH:
        return { service: await requireService(header(), "watch") };
      default:
        throw new AuthError("PERMISSION_DENIED");
    }
  };
  // Fail closed: who presents a key means to be known by it, also where nobody need be.
  const findService = async (header: Headers): Promise<Pick<Callers, "service">> => {
    const beside = header.get(KEY_HEADER);
    const key = presentedKey(header);
    const services = [];
    for (const presented of new Set([...(beside === null ? [] : [beside]), ...(key ? [key] : [])])) {
      const service = await serviceKeys.authenticate(presented);
      if (!service) throw new AuthError("INVALID_TOKEN");
      services.push(service);
    }
    const service = services.at(-1);
    return service ? { service } : {};
  };
  return (next) => async (req) => {
    const tell = (callers: Callers) => void req.contextValues.set(callersKey, callers);
    const known = await findService(req.header);
    // Told before it is known whether they may: who was refused is known then.
    tell(known);
    const admitted = await admit(
      req.method,
      () => req.header,
      (person) => tell({ ...known, person }),
    );
    tell({ ...known, ...admitted, isAdmitted: true });
    return next(req);
  };
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
