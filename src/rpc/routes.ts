import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor, ServiceImpl } from "@connectrpc/connect";

/** One service and its handlers. */
export interface Service {
  readonly desc: DescService;
  readonly impl: Partial<ServiceImpl<DescService>>;
}

/** Everything the listeners serve: services, and the interceptors every call goes through, outermost first. */
export interface Routes {
  readonly services: readonly Service[];
  readonly interceptors: readonly Interceptor[];
}

/** Pairs a service with all of its handlers: a missing one does not compile. */
export function createService<S extends DescService>(desc: S, impl: ServiceImpl<S>): Service {
  return { desc, impl: impl as Service["impl"] };
}
