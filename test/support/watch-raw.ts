import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import type { Readable } from "node:stream";
import { create, toBinary } from "@bufbuild/protobuf";
import { WatchRevocationsRequestSchema } from "../../gen/auth/v1/token_service_pb.ts";
import { framed } from "./wire-kit.ts";

const PATH = "/auth.v1.TokenService/WatchRevocations";
const REQUEST = framed(toBinary(WatchRevocationsRequestSchema, create(WatchRevocationsRequestSchema)));

/** A watch of revocations that is read byte by byte, or not. */
export interface RawWatch {
  /** What the service sends; it stands still until it is read. */
  readonly body: Readable;
  /** Reads to the end; gives the size, and the end in which the status is told. */
  readToEnd(): Promise<{ bytes: number; end: string }>;
  close(): void;
}

/** Opens a watch on an HTTP/2 connection. */
export async function watchOverGrpc(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string>>,
): Promise<RawWatch> {
  const body = session.request({ ":method": "POST", ":path": PATH, "content-type": "application/grpc", ...headers });
  body.on("error", () => {}).end(REQUEST);
  let trailers = "";
  body.on("trailers", (told) => {
    trailers = JSON.stringify(told);
  });
  await once(body, "response");
  return {
    body,
    async readToEnd() {
      const { bytes } = await consume(body);
      return { bytes, end: trailers };
    },
    close: () => body.close(),
  };
}

/** Opens a watch on an HTTP/1.1 connection of its own; the content type says which protocol is meant. */
export async function watchOverHttp(
  httpUrl: string,
  contentType: string,
  headers: Readonly<Record<string, string>>,
): Promise<RawWatch> {
  const req = request(`${httpUrl}${PATH}`, {
    ...{ method: "POST", agent: false },
    headers: { "content-type": contentType, ...headers },
  });
  req.on("error", () => {}).end(REQUEST);
  const [body] = (await once(req, "response")) as [IncomingMessage];
  body.on("error", () => {});
  return { body, readToEnd: () => consume(body), close: () => req.destroy() };
}

async function consume(body: Readable): Promise<{ bytes: number; end: string }> {
  let bytes = 0;
  let end = "";
  for await (const chunk of body) {
    bytes += chunk.length;
    end = (end + chunk.toString("latin1")).slice(-500);
  }
  return { bytes, end };
}

/** The session of a revocation, in the bytes of a message. */
export const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** Reads on and on; gives how many revocations have come. */
export function countTold({ body }: RawWatch): () => number {
  let [told, rest] = [0, ""];
  body.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString("latin1")).split(UUID);
    told += parts.length - 1;
    // What may be the beginning of another.
    rest = parts.at(-1)?.slice(-35) ?? "";
  });
  return () => told;
}
