import { once } from "node:events";
import { connect, createServer, type IncomingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { getHeapSnapshot } from "node:v8";
import { guardStreams } from "../../src/rpc/grpc/guard.ts";

// A program: after calls of many kinds, calls alike come in past the guard, and their headers are held. It prints how
// many strings with bytes outside of the heap there are for each.

const KINDS = 1500;
const ALIKE = 200;
const HEADERS = {
  ...{ ":method": "POST", ":path": "/auth.v1.AuthService/SignIn", te: "trailers", "content-type": "application/grpc" },
  ...{ "user-agent": "grpc-node-js/1.14.0", "grpc-timeout": "10S", "x-forwarded-for": "198.51.100.1" },
};

const held: IncomingHttpHeaders[] = [];
const server = createServer().on("stream", (stream, headers) => {
  if (headers["user-agent"] === HEADERS["user-agent"]) held.push(headers);
  stream.respond({}, { endStream: true });
});
await once(server.listen(0, "127.0.0.1"), "listening");
const { port } = server.address() as AddressInfo;
guardStreams(port, { unaryPaths: new Set(), onSession() {}, onStream() {} });
const client = connect(`http://127.0.0.1:${port}`);

for (let n = 0; n < KINDS; n++) await call({ ...HEADERS, "user-agent": `client-${n}` });
const before = await externalStrings();
for (let n = 0; n < ALIKE; n++) await call(HEADERS);
console.log(((await externalStrings()) - before) / held.length);
client.destroy();
server.close();

async function call(headers: typeof HEADERS): Promise<void> {
  await once(client.request(headers).end().resume(), "close");
}

/** What V8's own root of such strings names. */
async function externalStrings(): Promise<number> {
  const { snapshot, nodes, strings } = JSON.parse(await text(getHeapSnapshot()));
  const fields: readonly string[] = snapshot.meta.node_fields;
  const [name, edges] = [fields.indexOf("name"), fields.indexOf("edge_count")];
  const first = strings.indexOf("(External strings)");
  for (let at = 0; at < nodes.length; at += fields.length) if (nodes[at + name] === first) return nodes[at + edges];
  throw new Error("V8 names no such root");
}
