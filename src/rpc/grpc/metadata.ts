import { Metadata } from "@grpc/grpc-js";

/** Request metadata as headers. */
export function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [key, values] of Object.entries(metadata.toJSON())) {
    for (const value of values) headers.append(key, typeof value === "string" ? value : unpadded(value));
  }
  return headers;
}

/** Response headers as metadata, without what the protocol owns; undefined when nothing is left. */
export function toMetadata(...sources: readonly Headers[]): Metadata | undefined {
  let metadata: Metadata | undefined;
  for (const [key, value] of joined(sources)) {
    if (!isSendable(key, value)) continue;
    metadata ??= createMetadata();
    addTo(metadata, key, value);
  }
  return metadata;
}

// One value a name: on two of, say, "age", Node throws where nothing can catch it.
function joined([first = new Headers(), ...others]: readonly Headers[]): Headers {
  if (others.length === 0) return first;
  const all = new Headers(first);
  for (const [key, value] of others.flatMap((headers) => [...headers])) all.append(key, value);
  return all;
}

/** Empty metadata that sends binary values without padding, as gRPC asks of servers; grpc-js pads them. */
export function createMetadata(): Metadata {
  const metadata = new Metadata();
  const toPadded = metadata.toHttp2Headers.bind(metadata);
  metadata.toHttp2Headers = () => withoutPadding(toPadded());
  // grpc-js sends a clone, which would be a plain Metadata; this one belongs to a single answer.
  metadata.clone = () => metadata;
  return metadata;
}

// grpc-js would let these overwrite its own, and Node throws on some of them where nothing can catch it.
const RESERVED = new Set([
  ...["accept-encoding", "connection", "content-encoding", "content-length", "content-type", "date", "host"],
  ...[
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
  ],
]);

function isSendable(key: string, value: string): boolean {
  if (key === "grpc-retry-pushback-ms") return true;
  if (RESERVED.has(key) || key.startsWith("grpc-") || key.startsWith("connect-")) return false;
  // gRPC allows fewer characters than HTTP does.
  return /^[0-9a-z_.-]+$/.test(key) && /^[ -~]*$/.test(value);
}

function addTo(metadata: Metadata, key: string, value: string): void {
  if (!key.endsWith("-bin")) metadata.add(key, value);
  else for (const part of value.split(",")) metadata.add(key, Buffer.from(part.trim(), "base64"));
}

type Http2Headers = ReturnType<Metadata["toHttp2Headers"]>;

function withoutPadding(headers: Http2Headers): Http2Headers {
  const strip = (value: unknown) => String(value).replace(/=+$/, "");
  const entries = Object.entries(headers).map(([key, value]) => {
    if (!key.endsWith("-bin")) return [key, value];
    return [key, Array.isArray(value) ? value.map(strip) : strip(value)];
  });
  return Object.fromEntries(entries);
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
