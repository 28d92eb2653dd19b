import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";

// Trailers above 64 kB break a client's whole connection, and many clients refuse headers above 8 kB.
const MAX_MESSAGE_CHARS = 1000;
const MAX_DETAIL_BYTES = 4000;

type Detail = ConnectError["details"][number];

/** The same error with message and details that every transport can carry. */
export function boundError(error: ConnectError): ConnectError {
  const bounded = new ConnectError(boundText(error.rawMessage), error.code, error.metadata, undefined, error.cause);
  let room = MAX_DETAIL_BYTES;
  for (const detail of error.details) {
    const packed = packDetail(detail);
    if (!packed || packed.value.length + packed.type.length > room) continue;
    room -= packed.value.length + packed.type.length;
    // As it came: with its descriptor, Connect can add a readable form to its JSON.
    bounded.details.push(detail);
  }
  return bounded;
}

// Percent-encoding throws on a lone surrogate, and cutting a text can make one.
function boundText(text: string): string {
  return text.slice(0, MAX_MESSAGE_CHARS).toWellFormed();
}

/** A detail in its binary form; undefined when it cannot be encoded. */
export function packDetail(detail: Detail): { type: string; value: Uint8Array } | undefined {
  if (!("desc" in detail)) return { type: detail.type, value: detail.value };
  try {
    return { type: detail.desc.typeName, value: toBinary(detail.desc, create(detail.desc, detail.value)) };
  } catch {
    return undefined;
  }
}
