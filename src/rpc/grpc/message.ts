import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";

/** The message that bytes encode; null: none. */
export function readMessage<I extends DescMessage>(input: I, bytes: Buffer): MessageShape<I> | null {
  try {
    // A plain Uint8Array, or every bytes field of the message would be a Buffer.
    return fromBinary(input, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch {
    return null;
  }
}
