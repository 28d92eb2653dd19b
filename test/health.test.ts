import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { openTls } from "../src/tls.ts";
import { createAuthority, createTlsFolder } from "./support/certificates.ts";
import { runSource } from "./support/commands.ts";
import { createTestLog } from "./support/log.ts";
import { startWire, type Wire } from "./support/wire-kit.ts";

const HEALTHY = { code: 0, stdout: "", stderr: "" };

describe("the operator's question after the service's health", () => {
  const folder = createTlsFolder();
  before(async () => {
    const authority = await createAuthority();
    folder.writePair(await authority.issue({ name: "auth.example.com" }));
    folder.write("clients.crt", authority.cert);
  });
  after(() => folder.remove());

  // A database that nobody has: it is not asked.
  const health = (port: number, settings = {}) => {
    const env = { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none", HTTP_PORT: String(port), ...settings };
    return runSource("cli.ts", ["health"], { env });
  };
  const refusal = async (port: number, settings = {}) => {
    const { code, stdout, stderr } = await health(port, settings);
    expect([code, stdout]).to.deep.equal([1, ""]);
    return stderr;
  };

  it("is answered with silence where it lives, whatever address it listens on", async () => {
    const { server } = await startWire();
    for (const settings of [{}, { HOST: "0.0.0.0" }, { HOST: "localhost" }])
      expect(await health(server.httpPort, settings)).to.deep.equal(HEALTHY);
    await server.close();
  });

  it("is answered over TLS, whatever names the certificate is for and whether or not clients need one", async () => {
    const settings = { TLS_CERT: folder.files.cert, TLS_KEY: folder.files.key };
    const TLS_CLIENT_CA = folder.pathOf("clients.crt");
    const plain = await startOver(null);
    expect(await health(plain.server.httpPort, settings)).to.deep.equal(HEALTHY);
    const mutual = await startOver(TLS_CLIENT_CA);
    expect(await health(mutual.server.httpPort, { ...settings, TLS_CLIENT_CA })).to.deep.equal(HEALTHY);
    for (const { server } of [plain, mutual]) await server.close();
    const gone = await refusal(mutual.server.httpPort, { ...settings, TLS_CLIENT_CA });
    expect(gone).to.include("ECONNREFUSED");
  });

  async function startOver(clientCa: string | null): Promise<Wire> {
    const tls = await openTls(
      { ...folder.files, clientCa },
      createTestLog(() => {}),
    );
    tls.close();
    return startWire({ tls });
  }

  it("is answered with a reason where nothing listens, something else does, or nobody answers", async () => {
    const { server } = await startWire();
    await server.close();
    const place = `HTTP_PORT: no service lives at port ${server.httpPort} of 127.0.0.1`;
    expect(await refusal(server.httpPort)).to.equal(`${place}: connect ECONNREFUSED 127.0.0.1:${server.httpPort}\n`);
    const other = createServer((_req, res) => res.writeHead(404).end()).listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    expect(await refusal(port)).to.match(/: the answer was 404\n$/);
    other.removeAllListeners("request");
    expect(await refusal(port)).to.match(/: no answer in time\n$/);
    other.closeAllConnections();
    other.close();
  });

  it("cannot be asked where the port was left to chance", async () => {
    expect(await refusal(0)).to.equal("HTTP_PORT: 0 does not say which port the service took\n");
  });
});
