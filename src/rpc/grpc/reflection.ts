import { type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";
import { file_auth_v1_error } from "../../../gen/auth/v1/error_pb.ts";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../../gen/google/rpc/status_pb.ts";
import { file_grpc_reflection_v1_reflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { file_grpc_reflection_v1alpha_reflection } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { file_health_v1_health } from "../../../gen/health/v1/health_pb.ts";
import type { Routes } from "../routes.ts";

/** What is served or sent beside the routes. */
const OTHERS = [
  file_auth_v1_error,
  file_google_rpc_error_details,
  file_google_rpc_status,
  file_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
];

/** Builds server reflection, v1 and v1alpha, over the services of routes, over health and over itself. */
export function createReflection(routes: Routes): ReflectionService {
  const files = withImports([...routes.services.map(({ desc }) => desc.file), ...OTHERS]);
  const fileDescriptorProtos = [...files].map(({ proto }) => Buffer.from(toBinary(FileDescriptorProtoSchema, proto)));
  // Reflection looks at nothing but the files of a definition.
  return new ReflectionService({
    all: { format: "Protocol Buffer 3 EnumDescriptorProto", type: {}, fileDescriptorProtos },
  });
}

function withImports(files: readonly DescFile[], found = new Set<DescFile>()): Set<DescFile> {
  for (const file of files) {
    if (found.has(file)) continue;
    found.add(file);
    withImports(file.dependencies, found);
  }
  return found;
}
