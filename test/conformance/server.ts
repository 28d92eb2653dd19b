/**
 * The program that the conformance suite starts: reads from standard input what to serve, serves it as Latchkey is
 * served, and writes to standard output where. It ends with SIGTERM, since the suite closes its input at once, or by
 * itself when that never comes.
 */
import { buffer } from "node:stream/consumers";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { createLog } from "../../src/log.ts";
import { createAccessLog } from "../../src/rpc/access-log.ts";
import { unaryDeadline } from "../../src/rpc/deadline.ts";
import { createErrors, endRefused } from "../../src/rpc/errors.ts";
import { type Server, startServer } from "../../src/server/server.ts";
import { openCertificates } from "./certificates.ts";
import { Protocol } from "./gen/connectrpc/conformance/v1/config_pb.ts";
import {
  type ServerCompatRequest,
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "./gen/connectrpc/conformance/v1/server_compat_pb.ts";
import { conformanceService } from "./service.ts";
import { withoutReasons } from "./without-reasons.ts";

const HOST = "127.0.0.1";
const LONGEST_RUN_MS = 3 * 60_000;

const log = createLog("error");
process.once("SIGTERM", () => process.exit());
setTimeout(() => process.exit(1), LONGEST_RUN_MS);

const request = await readRequest();
const { grpcPort, httpPort } = await serve(request);
writeResponse({
  host: HOST,
  port: request.protocol === Protocol.GRPC ? grpcPort : httpPort,
  ...(request.serverCreds && { pemCert: request.serverCreds.cert }),
});

/** All but one of the interceptors that ship: that who calls is checked by an option of ours, which these RPCs lack. */
async function serve(request: ServerCompatRequest): Promise<Server> {
  const errors = createErrors({ log, isUnavailable: () => false });
  return startServer({
    routes: {
      services: [conformanceService],
      interceptors: [withoutReasons, createAccessLog(log), errors, endRefused, unaryDeadline],
    },
    gateway: async (_req, res) => void res.writeHead(404).end(),
    isReady: async () => true,
    ...{ host: HOST, grpcPort: 0, httpPort: 0, log },
    tls: await openCertificates(request, log),
    maxMessageBytes: request.messageReceiveLimit,
  });
}

// A message comes and goes after the four bytes of its length.
async function readRequest(): Promise<ServerCompatRequest> {
  const input = await buffer(process.stdin);
  return fromBinary(ServerCompatRequestSchema, input.subarray(4));
}

function writeResponse(response: MessageInitShape<typeof ServerCompatResponseSchema>): void {
  const message = toBinary(ServerCompatResponseSchema, create(ServerCompatResponseSchema, response));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  process.stdout.write(Buffer.concat([length, message]));
}
