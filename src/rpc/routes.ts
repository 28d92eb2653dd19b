import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor, ServiceImpl } from "@connectrpc/connect";
import { type Door, doorInterceptor } from "./door.ts";

/** One service and its handlers. */
export interface Service {
  readonly desc: DescService;
  readonly impl: Partial<ServiceImpl<DescService>>;
}

/** Everything the listeners serve. */
export interface Routes {
  readonly services: readonly Service[];
  /** What turns calls away before anything else; unset: nothing does. */
  readonly door?: Door;
  /** What every call goes through then, outermost first. */
  readonly interceptors: readonly Interceptor[];
}

/** All that a call goes through where nothing else asks the door. */
export function allInterceptors({ door, interceptors }: Routes): readonly Interceptor[] {
  return door ? [doorInterceptor(door), ...interceptors] : interceptors;
}

/** Pairs a service with all of its handlers: a missing one does not compile. */
export function createService<S extends DescService>(desc: S, impl: ServiceImpl<S>): Service {
  return { desc, impl: impl as Service["impl"] };
}
