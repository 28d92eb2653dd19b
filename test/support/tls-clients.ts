import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { type RequestOptions, request } from "node:https";
import { text } from "node:stream/consumers";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Client, credentials } from "@grpc/grpc-js";
import { AuthService, SignInRequestSchema, SignInResponseSchema } from "../../gen/auth/v1/auth_service_pb.ts";
import type { Pair } from "./certificates.ts";

/** Whom a client trusts, and who it is where it has to say so. */
export interface Trust {
  readonly ca: string;
  readonly own?: Pair;
}

/** The ports of a service. */
export interface Ports {
  readonly grpcPort: number;
  readonly httpPort: number;
}

type SignIn = (login: string) => Promise<string>;

/** Signs in over TLS by every protocol, each call on a connection of its own; answers the username. */
export function tlsSignIns({ grpcPort, httpPort }: Ports, trust: Trust): Readonly<Record<string, SignIn>> {
  const nodeOptions = { ...secureOptions(trust), agent: false as const };
  const grpc = { baseUrl: `https://127.0.0.1:${grpcPort}`, nodeOptions };
  const http = { baseUrl: `https://127.0.0.1:${httpPort}`, nodeOptions, httpVersion: "1.1" as const };
  return {
    "grpc-js": (login) => overGrpcJs(grpcPort, trust, login),
    "connect-node's gRPC": over(() => createGrpcTransport(grpc)),
    "gRPC-Web": over(() => createGrpcWebTransport(http)),
    "Connect binary": over(() => createConnectTransport({ ...http, useBinaryFormat: true })),
    "Connect JSON": over(() => createConnectTransport({ ...http, useBinaryFormat: false })),
  };
}

/** What a socket or a request of Node needs for it; the name goes with an address, which TLS does not send. */
export function secureOptions({ ca, own }: Trust) {
  return { ca, ...own, servername: "localhost" };
}

function over(createTransport: () => Transport): SignIn {
  return async (login) => {
    const { user } = await createClient(AuthService, createTransport()).signIn({ login });
    return user?.username ?? "";
  };
}

async function overGrpcJs(port: number, { ca, own }: Trust, login: string): Promise<string> {
  const pair = [own?.key, own?.cert].map((pem) => (pem === undefined ? null : Buffer.from(pem)));
  const channel = credentials.createSsl(Buffer.from(ca), pair[0], pair[1]);
  const client = new Client(`127.0.0.1:${port}`, channel, { "grpc.ssl_target_name_override": "localhost" });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  client.makeUnaryRequest(
    "/auth.v1.AuthService/SignIn",
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer) => bytes,
    toBinary(SignInRequestSchema, create(SignInRequestSchema, { login })),
    (error, bytes = Buffer.of()) =>
      error ? reject(error) : resolve(fromBinary(SignInResponseSchema, bytes).user?.username ?? ""),
  );
  return promise.finally(() => client.close());
}

/** Sends one HTTPS request; answers its status and text. */
export async function sendTls(port: number, path: string, trust: Trust, options: RequestOptions = {}, body = "") {
  const sent = request({ host: "127.0.0.1", port, path, agent: false, ...secureOptions(trust), ...options });
  const answered = once(sent.end(body), "response") as Promise<[IncomingMessage]>;
  const [res] = await answered;
  return { status: res.statusCode, headers: res.headers, text: await text(res) };
}

/** Opens a TLS connection and resolves when both ends trust each other; rejects when either does not. */
export async function openTlsSocket(port: number, trust: Trust, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ...secureOptions(trust), ...options });
  await once(socket, "secureConnect");
  return socket;
}
