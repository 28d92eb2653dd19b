export * from "../../gen/auth/v1/admin_service_pb.ts";
export * from "../../gen/auth/v1/auth_service_pb.ts";
export * from "../../gen/auth/v1/error_pb.ts";
export * from "../../gen/auth/v1/options_pb.ts";
export * from "../../gen/auth/v1/service_key_pb.ts";
export * from "../../gen/auth/v1/session_pb.ts";
export * from "../../gen/auth/v1/token_service_pb.ts";
export * from "../../gen/auth/v1/user_pb.ts";
export {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
