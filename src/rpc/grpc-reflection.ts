import { type DescFile, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type DescriptorProto, type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../gen/google/rpc/status_pb.ts";
import type { Routes } from "./routes.ts";

/** What adds services to a server. */
export interface Addable {
  addToServer(server: { addService(definition: ServiceDefinition, handlers: object): void }): void;
}

/** Builds server reflection, v1 and v1alpha, over the services of routes, over itself and over `others`. */
export function createReflection(routes: Routes, others: readonly Addable[]): ReflectionService {
  const files = [
    ...routes.services.map(({ desc }) => desc.file),
    file_google_rpc_error_details,
    file_google_rpc_status,
  ];
  const ours = [...withImports(files)].map((file) => file.proto);
  const theirs = [...others, new ReflectionService({})].flatMap(filesOf).map(repaired);
  const fileDescriptorProtos = [...ours, ...theirs].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file)),
  );
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

/** The descriptors of services that come with a library, taken from the definitions that it hands to a server. */
function filesOf(addable: Addable): FileDescriptorProto[] {
  const definitions: ServiceDefinition[] = [];
  addable.addToServer({ addService: (definition) => definitions.push(definition) });
  const methods = definitions.flatMap((definition): object[] => Object.values(definition));
  return methods.flatMap(requestFiles).map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

function requestFiles(method: object): Buffer[] {
  return "requestType" in method && hasFiles(method.requestType) ? method.requestType.fileDescriptorProtos : [];
}

function hasFiles(type: unknown): type is { fileDescriptorProtos: Buffer[] } {
  return typeof type === "object" && type !== null && "fileDescriptorProtos" in type;
}

/** The same file with the names that protoc writes, without which clients in Go and TypeScript refuse it. */
function repaired(file: FileDescriptorProto): FileDescriptorProto {
  for (const message of file.messageType) repairMessage(message, file);
  return file;
}

function repairMessage(message: DescriptorProto, file: FileDescriptorProto): void {
  const scope = `.${file.package}.${message.name}`;
  const nested = new Set([...message.nestedType, ...message.enumType].map(({ name }) => name));
  for (const field of message.field) {
    if (field.typeName && !field.typeName.startsWith(".")) {
      field.typeName = `${nested.has(field.typeName) ? scope : `.${file.package}`}.${field.typeName}`;
    }
  }
  for (const entry of message.nestedType.filter(({ options }) => options?.mapEntry)) {
    const oldName = `${scope}.${entry.name}`;
    entry.name = `${entry.name}Entry`;
    for (const field of message.field) if (field.typeName === oldName) field.typeName = `${scope}.${entry.name}`;
    for (const field of entry.field) if (field.typeName) field.typeName = `.${file.package}.${field.typeName}`;
  }
}
