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
