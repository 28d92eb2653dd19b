import { connect } from "node:net";

/** A request that is ready to be sent but for the number of its stream. */
export type RawRequest = { readonly bytes: Buffer; readonly dataAt: number };

/** How a call ended: by an answer, by a status alone, or by a reset. */
export type RawOutcome = "answered" | "refused" | "reset";

/** One HTTP/2 connection that carries unary gRPC calls and reads no more of the answers than how they ended. */
export interface RawGrpc {
  call(request: RawRequest): Promise<RawOutcome>;
  close(): void;
}

// RFC 9113 section 6.
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8];
const [END_STREAM, END_HEADERS, ACK] = [1, 4, 1];
const HEAD = 9;

/**
 * Connects to a gRPC server. A call costs a tenth of what it does through an HTTP/2 library: what the callers take is
 * not there for the service that they flood.
 */
export async function connectRaw(host: string, port: number): Promise<RawGrpc> {
  const calls = new Map<number, { hasData: boolean; end: (outcome: RawOutcome) => void }>();
  const { promise: connected, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host, port, noDelay: true }, resolve).on("error", reject);
  await connected;
  let nextId = 1;
  let rest: Buffer = Buffer.of();

  const end = (id: number, outcome?: RawOutcome) => {
    const call = calls.get(id);
    calls.delete(id);
    call?.end(outcome ?? (call.hasData ? "answered" : "refused"));
  };
  const take = (type: number, flags: number, id: number, payload: Buffer) => {
    const call = calls.get(id);
    if (type === DATA && call && payload.length > 0) call.hasData = true;
    if ((type === DATA || type === HEADERS) && flags & END_STREAM) end(id);
    else if (type === RST_STREAM) end(id, "reset");
    else if (type === SETTINGS && !(flags & ACK)) socket.write(frame(SETTINGS, ACK, 0));
    else if (type === PING && !(flags & ACK)) socket.write(frame(PING, ACK, 0, payload));
    else if (type === GOAWAY) socket.destroy();
  };
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    while (rest.length >= HEAD && rest.length >= HEAD + rest.readUIntBE(0, 3)) {
      const size = HEAD + rest.readUIntBE(0, 3);
      take(rest.readUInt8(3), rest.readUInt8(4), rest.readUInt32BE(5) & 0x7fffffff, rest.subarray(HEAD, size));
      rest = rest.subarray(size);
    }
  });
  socket.on("close", () => {
    for (const id of [...calls.keys()]) end(id, "reset");
  });
  // No compressed headers, and room for all answers that there will ever be.
  const settings = Buffer.from([0, 1, 0, 0, 0, 0, 0, 4, 0, 0x10, 0, 0]);
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, settings), frame(WINDOW_UPDATE, 0, 0, WIDE)]));

  return {
    call({ bytes, dataAt }) {
      if (socket.destroyed) return Promise.resolve("reset");
      const { promise, resolve } = Promise.withResolvers<RawOutcome>();
      const id = nextId;
      nextId += 2;
      calls.set(id, { hasData: false, end: resolve });
      const request = Buffer.from(bytes);
      request.writeUInt32BE(id, 5);
      request.writeUInt32BE(id, dataAt + 5);
      socket.write(request);
      return promise;
    },
    close: () => socket.destroy(),
  };
}

/** Writes a request once, to be sent often. */
export function rawRequest(path: string, headers: Readonly<Record<string, string>>, message: Uint8Array): RawRequest {
  const all = { te: "trailers", "content-type": "application/grpc", ...headers };
  const fields = Object.entries(all).flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]);
  // POST and http by their numbers, :path and :authority by the numbers of their names (RFC 7541 appendix A).
  const block = Buffer.concat([Buffer.of(0x83, 0x86, 0x04), text(path), Buffer.of(0x01), text("bench"), ...fields]);
  const head = frame(HEADERS, END_HEADERS, 0, block);
  return { bytes: Buffer.concat([head, frame(DATA, END_STREAM, 0, grpcBody(message))]), dataAt: head.length };
}

/** The body of a unary gRPC request. */
export function grpcBody(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const WIDE = Buffer.from([0x7f, 0, 0, 0]);

function frame(type: number, flags: number, id: number, payload: Buffer = Buffer.of()): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

// A length of up to 126, uncompressed (RFC 7541 section 5.2).
function text(value: string): Buffer {
  if (value.length > 126) throw new RangeError(`${value} is too long`);
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
}
