import { once } from "node:events";
import { mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { openTls, type Tls } from "../src/tls.ts";
import { type Authority, createAuthority, createTlsFolder, inDays, type Pair } from "./support/certificates.ts";
import { createTestLog, type Line } from "./support/log.ts";
import { openTlsSocket, secureOptions, type Trust, tlsSignIns } from "./support/tls-clients.ts";
import { waitUntil } from "./support/wait.ts";
import { startWire, type Wire } from "./support/wire-kit.ts";

describe("a certificate that is renewed", () => {
  const folder = createTlsFolder();
  const lines: Line[] = [];
  const log = createTestLog((line) => lines.push(line));
  let authority: Authority;
  let first: Pair;
  let tls: Tls;
  let wire: Wire;
  before(async () => {
    authority = await createAuthority();
    folder.write("clients.crt", authority.cert);
  });
  beforeEach(async () => {
    first = await authority.issue({ name: "first" });
    folder.writePair(first);
    lines.length = 0;
    await serve();
  });
  afterEach(stop);
  after(() => folder.remove());

  async function serve(files = folder.files, times = {}): Promise<void> {
    tls = await openTls(files, log, times);
    wire = await startWire({ tls });
  }
  async function stop(): Promise<void> {
    tls.close();
    await wire.server.close();
  }
  async function serveAnew(...options: Parameters<typeof serve>): Promise<void> {
    await stop();
    await serve(...options);
  }

  /** The names in the certificates that both listeners show to who comes now. */
  async function shown(): Promise<string[]> {
    const names: string[] = [];
    for (const port of [wire.server.grpcPort, wire.server.httpPort]) {
      const socket = await openTlsSocket(port, { ca: authority.cert });
      names.push(nameOf(socket));
      socket.destroy();
    }
    return names;
  }

  it("is shown to new connections at once, while open ones go on", async () => {
    const { grpcPort, httpPort } = wire.server;
    const session = connectHttp2(`https://127.0.0.1:${grpcPort}`, secureOptions({ ca: authority.cert }));
    await once(session, "connect");
    const nodeOptions = secureOptions({ ca: authority.cert });
    const client = createClient(
      AuthService,
      createGrpcTransport({ baseUrl: `https://127.0.0.1:${grpcPort}`, nodeOptions }),
    );
    await client.signIn({ login: "ada" });
    const socket = await openTlsSocket(httpPort, { ca: authority.cert });

    folder.writePair(await authority.issue({ name: "second", to: inDays(90) }));
    await tls.refresh();
    expect(await shown()).to.deep.equal(["second", "second"]);

    socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(String(await once(socket, "data"))).to.match(/^HTTP\/1\.1 200 /);
    expect((await client.signIn({ login: "ada" })).user?.username).to.equal("ada");
    expect([nameOf(socket), nameOf(session.socket as TLSSocket)]).to.deep.equal(["first", "first"]);
    expect(session.closed).to.equal(false);
    session.destroy();
    socket.destroy();

    expect(lines.map(({ level, message }) => [level, message])).to.deep.equal([["info", "certificate renewed"]]);
    expect(lines[0]?.fields.validTo).to.deep.equal(tls.validTo());
  });

  it("is found without being told", async () => {
    await serveAnew(folder.files, { lookMs: 10 });
    folder.writePair(await authority.issue({ name: "second" }));
    await waitUntil(async () => (await shown()).join() === "second,second");
  });

  it("is found behind a link that is swapped", async () => {
    const put = (version: string, { cert, key }: Pair) => {
      mkdirSync(folder.pathOf(version));
      writeFileSync(join(folder.pathOf(version), "tls.crt"), cert);
      writeFileSync(join(folder.pathOf(version), "tls.key"), key);
      symlinkSync(version, folder.pathOf("..data_tmp"));
      renameSync(folder.pathOf("..data_tmp"), folder.pathOf("..data"));
    };
    put("..1", first);
    for (const name of ["tls.crt", "tls.key"]) symlinkSync(`..data/${name}`, folder.pathOf(`linked-${name}`));
    const files = { cert: folder.pathOf("linked-tls.crt"), key: folder.pathOf("linked-tls.key"), clientCa: null };
    await serveAnew(files);
    put("..2", await authority.issue({ name: "second" }));
    await tls.refresh();
    expect(await shown()).to.deep.equal(["second", "second"]);
  });

  it("is taken when both of its files are there and whole, and the old one serves until then", async () => {
    const second = await authority.issue({ name: "second" });
    const chain = second.cert + authority.cert;
    const steps: readonly [change: () => void, fault: string][] = [
      [() => folder.replace("tls.crt", second.cert), "TLS_KEY does not belong to the first certificate of TLS_CERT"],
      [() => folder.write("tls.crt", ""), "TLS_CERT holds no certificate in PEM"],
      [() => folder.write("tls.crt", second.cert.slice(0, 200)), "TLS_CERT holds a certificate that is cut off"],
      [() => unlinkSync(folder.pathOf("tls.crt")), "TLS_CERT names a file that cannot be read (ENOENT)"],
      [() => folder.write("tls.crt", chain.slice(0, -100)), "TLS_CERT holds a certificate that is cut off"],
    ];
    folder.writePair(first);
    for (const [change, fault] of steps) {
      lines.length = 0;
      change();
      await tls.refresh();
      await tls.refresh();
      expect(await shown(), fault).to.deep.equal(["first", "first"]);
      expect(lines.map(({ level, fields }) => [level, fields.faults])).to.deep.equal([["warn", [fault]]]);
    }
    folder.writePair({ ...second, cert: chain });
    await tls.refresh();
    expect(await shown()).to.deep.equal(["second", "second"]);
  });

  it("is not taken for one that has expired or is not valid yet", async () => {
    for (const wish of [
      { from: inDays(-9), to: inDays(-1) },
      { from: inDays(1), to: inDays(9) },
    ]) {
      folder.writePair(await authority.issue({ name: "second", ...wish }));
      await tls.refresh();
      expect(await shown()).to.deep.equal(["first", "first"]);
    }
    expect(lines.map(({ message }) => message)).to.deep.equal(
      Array(2).fill("certificate not renewed, the old one stays"),
    );
  });

  it("may come with other authorities of clients, by which old sessions are judged too", async () => {
    await serveAnew({ ...folder.files, clientCa: folder.pathOf("clients.crt") });
    const others = await createAuthority("Other clients");
    const [own, other] = [await authority.issue({ name: "old client" }), await others.issue({ name: "new client" })];
    const ports = [wire.server.grpcPort, wire.server.httpPort];
    const trust = { ca: authority.cert, own };
    const sessions = await Promise.all(ports.map((port) => sessionOf(port, trust)));
    const outcomes = () => Promise.all(ports.map((port, at) => resume(port, trust, sessions[at] ?? Buffer.of())));
    expect(await outcomes()).to.deep.equal(["resumed", "resumed"]);
    folder.replace("clients.crt", others.cert);
    await tls.refresh();
    expect(await outcomes()).to.deep.equal(["refused", "refused"]);
    for (const [name, signIn] of Object.entries(tlsSignIns(wire.server, { ca: authority.cert, own: other })))
      expect(await signIn("ada"), name).to.equal("ada");
  });

  it("is asked for when its end is near, and not before", async () => {
    const soon = "certificate ends soon";
    for (const [from, to, message] of [
      [-60, 15, undefined],
      [-60, 13, soon],
      [-1, 5, undefined],
      [-5, 1, soon],
    ] as const) {
      folder.writePair(await authority.issue({ from: inDays(from), to: inDays(to) }));
      lines.length = 0;
      const near = await openTls(folder.files, log);
      await near.refresh();
      expect(lines.map((line) => line.message)).to.deep.equal(message ? [message] : []);
      near.close();
    }
  });
});

/** What a client needs to resume the session that it has had. */
async function sessionOf(port: number, trust: Trust): Promise<Buffer> {
  const socket = connect({ port, ...PROTOCOLS, ...secureOptions(trust) });
  const [session] = await once(socket, "session");
  socket.destroy();
  return session;
}

/** How a connection is taken that resumes a session: a refusal comes after the client's part of the handshake. */
async function resume(port: number, trust: Trust, session: Buffer): Promise<"resumed" | "begun" | "refused"> {
  const socket = connect({ port, ...PROTOCOLS, ...secureOptions(trust), session });
  socket.once("secureConnect", () => {
    if (socket.alpnProtocol === "http/1.1") socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
  });
  const { promise, resolve } = Promise.withResolvers<"resumed" | "begun" | "refused">();
  socket.once("data", () => resolve(socket.isSessionReused() ? "resumed" : "begun"));
  socket.once("error", () => resolve("refused")).once("close", () => resolve("refused"));
  return promise.finally(() => socket.destroy());
}

const PROTOCOLS = { host: "127.0.0.1", ALPNProtocols: ["h2", "http/1.1"] };

function nameOf(socket: TLSSocket): string {
  return String(socket.getPeerCertificate().subject.CN);
}
