import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import type { Auth } from "../auth/auth.ts";
import type { Log } from "../log.ts";
import { createAccessLog } from "./access-log.ts";
import { createAdminService } from "./admin-service.ts";
import { createAuthService } from "./auth-service.ts";
import { createCaller } from "./caller.ts";
import { createErrors } from "./errors.ts";
import { unaryDeadline } from "./limits.ts";
import { createService, type Routes } from "./routes.ts";
import { createTokenService } from "./token-service.ts";

/** Two ways to the same handlers: for callers, and for the operator of the machine, who is not asked who they are. */
export function createRoutes(
  auth: Auth,
  log: Log,
  isUnavailable: (error: unknown) => boolean,
): { readonly routes: Routes; readonly operatorRoutes: Routes } {
  const services = [
    createService(AuthService, createAuthService(auth)),
    createService(TokenService, createTokenService(auth)),
    createService(AdminService, createAdminService(auth)),
  ];
  const errors = createErrors({ log, isUnavailable });
  return {
    routes: { services, interceptors: [createAccessLog(log), errors, unaryDeadline, createCaller(auth)] },
    operatorRoutes: { services, interceptors: [errors] },
  };
}
