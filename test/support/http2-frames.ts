import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";

/** Types of frames (RFC 9113 section 6). */
export const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, goAway: 7, continuation: 9 } as const;

/** Flags of DATA and HEADERS. */
export const END = { stream: 1, headers: 4 } as const;

/** One frame; `length` is what it says of itself. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.of(),
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A block of header fields in the plainest form there is: nothing indexed, nothing compressed (RFC 7541 section 6.2.2). */
export function headerBlock(fields: Readonly<Record<string, string>>): Buffer {
  const literal = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
  const parts = Object.entries(fields).flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]);
  return Buffer.concat(parts);
}

/** A connection on which frames are written by hand. */
export interface FrameConnection {
  readonly socket: Socket;
  /** Types of the frames that came. */
  types(): number[];
  /** Writes what `next` makes until the server ends the connection; gives how many it took, at most `limit`. */
  flood(next: (index: number) => Buffer, limit: number): Promise<number>;
}

/** Opens a connection and sends what HTTP/2 begins with. */
export async function openFrames(port: number): Promise<FrameConnection> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(FRAME.settings, 0, 0)]));
  return {
    socket,
    types: () => typesOf(Buffer.concat(chunks)),
    async flood(next, limit) {
      let sent = 0;
      for (; sent < limit && !socket.destroyed; sent++) {
        socket.write(next(sent));
        if (sent % 50 === 0) await nextTurn();
      }
      return sent;
    },
  };
}

function typesOf(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) types.push(bytes.readUInt8(at + 3));
  return types;
}
