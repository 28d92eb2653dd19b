import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor, ServiceImpl } from "@connectrpc/connect";
import type { Door } from "./door.ts";

/** One service and its handlers. */
export interface Service {
  readonly desc: DescService;
  readonly impl: Partial<ServiceImpl<DescService>>;
}

/** Everything the listeners serve. */
export interface Routes {
  readonly services: readonly Service[];
  /** What every call goes through, outermost first. */
  readonly interceptors: readonly Interceptor[];
  /** What a listener may turn calls away by, sooner than the interceptors would; unset: nothing. */
  readonly door?: Door;
}

/** Pairs a service with all of its handlers: a missing one does not compile. */
export function createService<S extends DescService>(desc: S, impl: ServiceImpl<S>): Service {
  return { desc, impl: impl as Service["impl"] };
}
