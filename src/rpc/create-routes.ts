import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { createAccessLog } from "./access-log.ts";
import { createAdminService } from "./admin-service.ts";
import { createAuthService } from "./auth-service.ts";
import { createCallContexts, createFindSource } from "./call-context.ts";
import { createCaller, operatorCaller } from "./caller.ts";
import { unaryDeadline } from "./deadline.ts";
import { createDoor, type DoorOptions, doorInterceptor } from "./door.ts";
import { createErrors, endRefused } from "./errors.ts";
import { createRefusalRecord } from "./refusal-record.ts";
import { createService, type Routes } from "./routes.ts";
import { createTokenService } from "./token-service.ts";

/** What the way in needs beside the rules. */
export interface RoutesOptions extends DoorOptions {
  readonly isUnavailable: (error: unknown) => boolean;
}

/** Two ways to the same handlers: for callers, and for the operator of the machine, who is not asked who they are. */
export function createRoutes(
  auth: Auth,
  options: RoutesOptions,
): { readonly routes: Routes; readonly operatorRoutes: Routes } {
  const { log, metrics, isUnavailable, isTrustedProxy } = options;
  const findSource = createFindSource(isTrustedProxy);
  const callContext = createCallContexts(findSource);
  const services = [
    createService(AuthService, createAuthService(auth, callContext)),
    createService(TokenService, createTokenService(auth)),
    createService(AdminService, createAdminService(auth, callContext)),
  ];
  const door = createDoor(auth.audit, options);
  const errors = createErrors({ log, isUnavailable });
  const refusals = createRefusalRecord(auth.audit, findSource);
  return {
    routes: {
      services,
      door,
      interceptors: [
        doorInterceptor(door),
        createAccessLog(log, metrics),
        ...[errors, refusals, endRefused, unaryDeadline, createCaller(auth)],
      ],
    },
    operatorRoutes: { services, interceptors: [errors, refusals, operatorCaller] },
  };
}
