import {
  create,
  createRegistry,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type JsonValue,
  type MessageInitShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";

/** A refusal, as a caller of any protocol sees it. */
export interface Refused {
  readonly code: string;
  readonly message: string;
  /** Each detail as proto JSON, with its type. */
  readonly details: readonly object[];
}

/** What came of a call: the answer as proto JSON, or the refusal. */
export type Outcome = { readonly answer: JsonValue } | { readonly refused: Refused };

/** Calls one RPC by one protocol, with these headers. */
export type Call = <I extends DescMessage, O extends DescMessage>(
  rpc: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  headers?: Readonly<Record<string, string>>,
) => Promise<Outcome>;

/** One protocol; `timeout` is how its header for a deadline of these milliseconds reads. */
export interface WayIn {
  readonly call: Call;
  readonly timeout: (ms: number) => Record<string, string>;
}

const DETAILS = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** Every protocol in which a service's RPCs can be called. */
export function waysIn(service: { readonly grpcUrl: string; readonly httpUrl: string }): Record<string, WayIn> {
  const http = { baseUrl: service.httpUrl, httpVersion: "1.1" as const };
  const grpcTimeout = (ms: number) => ({ "grpc-timeout": `${ms}m` });
  const connectTimeout = (ms: number) => ({ "connect-timeout-ms": String(ms) });
  return {
    "connect-node's gRPC": overTransport(createGrpcTransport({ baseUrl: service.grpcUrl }), grpcTimeout),
    "grpc-js": overGrpcJs(service.grpcUrl, grpcTimeout),
    "gRPC-Web": overTransport(createGrpcWebTransport(http), grpcTimeout),
    "Connect binary": overTransport(createConnectTransport({ ...http, useBinaryFormat: true }), connectTimeout),
    "Connect JSON": overTransport(createConnectTransport({ ...http, useBinaryFormat: false }), connectTimeout),
  };
}

function overTransport(transport: Transport, timeout: WayIn["timeout"]): WayIn {
  const call: Call = async (rpc, request, headers) => {
    try {
      const { message } = await transport.unary(rpc, undefined, undefined, headers, request);
      return { answer: toJson(rpc.output, message, JSON_OPTIONS) };
    } catch (error) {
      const { code, rawMessage: message, details } = ConnectError.from(error);
      const packed = details.map((detail) => ("desc" in detail ? expectPacked(detail.desc.typeName) : detail));
      return { refused: { code: Code[code], message, details: packed.map(({ type, value }) => decode(type, value)) } };
    }
  };
  return { call, timeout };
}

function overGrpcJs(url: string, timeout: WayIn["timeout"]): WayIn {
  const client = new Client(new URL(url).host, credentials.createInsecure());
  const call: Call = (rpc, request, headers = {}) => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        `/${rpc.parent.typeName}/${rpc.name}`,
        (message: Uint8Array) => Buffer.from(message),
        (bytes: Buffer) => bytes,
        toBinary(rpc.input, create(rpc.input, request)),
        metadata,
        (error, bytes) => {
          if (error) resolve({ refused: refusedBy(error) });
          else resolve({ answer: toJson(rpc.output, fromBinary(rpc.output, bytes ?? Buffer.of()), JSON_OPTIONS) });
        },
      );
    });
  };
  return { call, timeout };
}

const JSON_OPTIONS = { alwaysEmitImplicit: true };

function refusedBy({ code, details: message, metadata }: ServiceError): Refused {
  const [packed] = metadata.get("grpc-status-details-bin");
  if (!(packed instanceof Buffer)) return { code: String(Code[code]), message, details: [] };
  const status = fromBinary(StatusSchema, packed);
  // The status is told twice; what a client reads from the details must be the same.
  if (status.code !== code || status.message !== message) throw new Error("the details tell of another status");
  const details = status.details.map((any) => {
    const detail = anyUnpack(any, DETAILS);
    return detail ? decode(detail.$typeName, any.value) : { type: any.typeUrl };
  });
  return { code: String(Code[code]), message, details };
}

function decode(type: string, value: Uint8Array): object {
  const desc = DETAILS.getMessage(type);
  if (!desc) return { type };
  return { type, value: toJson(desc, fromBinary(desc, value)) };
}

function expectPacked(type: string): never {
  throw new Error(`${type} did not come over the wire`);
}
