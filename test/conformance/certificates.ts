import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "../../src/log.ts";
import { openTls, type Tls } from "../../src/tls.ts";
import type { ServerCompatRequest } from "./gen/connectrpc/conformance/v1/server_compat_pb.ts";

/** TLS as a case asks for it, from files that go with the process; undefined where it asks for plain text. */
export async function openCertificates(
  { serverCreds, clientTlsCert }: ServerCompatRequest,
  log: Log,
): Promise<Tls | undefined> {
  if (!serverCreds) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  process.on("exit", () => rmSync(folder, { recursive: true }));
  const write = (name: string, content: Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const files = {
    cert: write("cert.pem", serverCreds.cert),
    key: write("key.pem", serverCreds.key),
    clientCa: clientTlsCert.length > 0 ? write("client-ca.pem", clientTlsCert) : null,
  };
  return openTls(files, log);
}
