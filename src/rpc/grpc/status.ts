import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { StatusObject } from "@grpc/grpc-js";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { refusal } from "../reasons.ts";
import { boundError, packDetail } from "../wire-error.ts";
import { createMetadata, toMetadata } from "./metadata.ts";

/** The gRPC status of an error: INTERNAL for all but a ConnectError. */
export function toStatus(error: unknown, trailer: Headers): StatusObject {
  const known = error instanceof ConnectError && trailer.keys().next().done === true;
  const status = (known && encoded.get(error)) || encode(error, trailer);
  if (known) encoded.set(error, status);
  return status;
}

// What many calls are refused with is one error, which is encoded once.
const encoded = new WeakMap<ConnectError, StatusObject>();

function encode(thrown: unknown, trailer: Headers): StatusObject {
  const error = boundError(thrown instanceof ConnectError ? thrown : refusal("INTERNAL"));
  const metadata = toMetadata(trailer, error.metadata) ?? createMetadata();
  const details = error.details.map(packDetail).filter((detail) => detail !== undefined);
  if (details.length > 0) {
    const packed = details.map(({ type, value }) => ({ typeUrl: `type.googleapis.com/${type}`, value }));
    const status = create(StatusSchema, { code: error.code, message: error.rawMessage, details: packed });
    metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  }
  // Both number the codes as gRPC does.
  return { code: Number(error.code), details: error.rawMessage, metadata };
}
