import { once } from "node:events";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { connect } from "node:http2";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import type { TestService } from "./service.ts";
import { framed } from "./wire-kit.ts";

/** Makes one call and gives every byte of the answer: status, headers, body and trailers; only the date is left out. */
export type RawCall = (service: TestService) => Promise<string>;

/** The same call by every protocol that an RPC can be called by. */
export function rawCalls<I extends DescMessage>(
  rpc: DescMethodUnary<I, DescMessage>,
  init: MessageInitShape<I>,
): Record<string, RawCall> {
  const path = `/${rpc.parent.typeName}/${rpc.name}`;
  const message = create(rpc.input, init);
  const bytes = toBinary(rpc.input, message);
  return {
    gRPC: (service) => rawGrpc(service, path, framed(bytes)),
    "gRPC-Web": (service) => rawHttp(service, path, "application/grpc-web+proto", framed(bytes)),
    "Connect binary": (service) => rawHttp(service, path, "application/proto", bytes),
    "Connect JSON": (service) => rawHttp(service, path, "application/json", toJsonString(rpc.input, message)),
  };
}

/** A call of a REST route. */
export function rawJson(path: string, body: object): RawCall {
  return (service) => rawHttp(service, path, "application/json", JSON.stringify(body));
}

/** A form as a page posts it. */
export function rawForm(path: string, members: Record<string, string>): RawCall {
  return (service) =>
    rawHttp(service, path, "application/x-www-form-urlencoded", new URLSearchParams(members).toString());
}

async function rawHttp({ httpUrl }: TestService, path: string, contentType: string, body: Uint8Array | string) {
  const req = requestHttp(`${httpUrl}${path}`, { method: "POST", headers: { "content-type": contentType } });
  req.end(body);
  const [answer] = (await once(req, "response")) as [IncomingMessage];
  const bytes = Buffer.concat(await answer.toArray());
  const { statusCode, statusMessage, rawHeaders, rawTrailers } = answer;
  return describe([statusCode, statusMessage], rawHeaders, bytes, rawTrailers);
}

async function rawGrpc({ grpcUrl }: TestService, path: string, body: Uint8Array): Promise<string> {
  const session = connect(grpcUrl);
  try {
    const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream = session.request(headers);
    let trailers: string[] = [];
    stream.on("trailers", (_, __, raw: string[]) => {
      trailers = raw;
    });
    stream.end(body);
    const [, , rawHeaders] = (await once(stream, "response")) as [unknown, number, string[]];
    const bytes = Buffer.concat(await stream.toArray());
    return describe([], rawHeaders, bytes, trailers);
  } finally {
    session.destroy();
  }
}

function describe(status: unknown[], headers: string[], body: Buffer, trailers: string[]): string {
  const told = pairs(headers).filter(([name = ""]) => name.toLowerCase() !== "date");
  return JSON.stringify([status, told, body.toString("latin1"), pairs(trailers)]);
}

function pairs(raw: readonly string[]): string[][] {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ""]] : []));
}
