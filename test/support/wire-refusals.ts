import { fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { framed, type Http2Answer, urlOf, type Wire } from "./wire-kit.ts";

/** Path of the RPC that hand-made requests call. */
export const SIGN_IN = "/auth.v1.AuthService/SignIn";

/** A message of no bytes, framed. */
export const EMPTY = framed(Buffer.of());

/** Sends one hand-made request for SignIn over HTTP. */
export async function post(wire: Wire, type: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
  const init = { method: "POST", headers: { "content-type": type, ...headers }, body: Buffer.from(body) };
  const res = await fetch(`${urlOf(wire.server.httpPort)}${SIGN_IN}`, init);
  return { status: res.status, text: await res.text() };
}

/** What tells one refusal from another. */
export interface Refusal {
  readonly code: number;
  readonly reason: string | undefined;
}

/** A message that cannot be read. */
export const INVALID: Refusal = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT" };

/** A message above the limit. */
export const TOO_LARGE: Refusal = { code: Code.ResourceExhausted, reason: undefined };

/** The refusal in a gRPC answer. */
export function grpcRefusal({ trailers }: Http2Answer): Refusal {
  const details = trailers["grpc-status-details-bin"];
  return { code: Number(trailers["grpc-status"]), reason: reasonIn(typeof details === "string" ? details : undefined) };
}

/** The refusal in a gRPC-Web answer. */
export function webRefusal(text: string): Refusal {
  const [, code] = /grpc-status: (\d+)/.exec(text) ?? [];
  return { code: Number(code), reason: reasonIn(/grpc-status-details-bin: (\S+)/.exec(text)?.[1]) };
}

function reasonIn(details: string | undefined): string | undefined {
  if (details === undefined) return undefined;
  const status = fromBinary(StatusSchema, Buffer.from(details, "base64"));
  const [info] = status.details.filter(({ typeUrl }) => typeUrl.endsWith("google.rpc.ErrorInfo"));
  return info && fromBinary(ErrorInfoSchema, info.value).reason;
}

/** The refusal in a Connect answer. */
export function connectRefusal(text: string): Refusal {
  const { code, details = [] } = JSON.parse(text);
  const [info] = details.filter(({ type }: { type: string }) => type === "google.rpc.ErrorInfo");
  const reason = info && fromBinary(ErrorInfoSchema, Buffer.from(info.value, "base64")).reason;
  return { code: codeFromString(code) ?? 0, reason };
}
