import { type EventEmitter, once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { Agent } from "node:https";
import { connect as connectTcp } from "node:net";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { openTls, type Tls } from "../src/tls.ts";
import { type Authority, createAuthority, createTlsFolder, type Pair } from "./support/certificates.ts";
import { createTestLog, type Line } from "./support/log.ts";
import { openTlsSocket, secureOptions, sendTls, type Trust, tlsSignIns } from "./support/tls-clients.ts";
import { startWire, type Wire } from "./support/wire-kit.ts";

describe("TLS", () => {
  const folder = createTlsFolder();
  const lines: Line[] = [];
  const log = createTestLog((line) => lines.push(line));
  const stops: (() => Promise<void>)[] = [];
  let authority: Authority;
  let stranger: Authority;
  let pair: Pair;
  before(async () => {
    authority = await createAuthority();
    stranger = await createAuthority("Another authority");
    pair = await authority.issue();
    folder.writePair(pair);
    folder.write("clients.crt", authority.cert);
  });
  after(async () => {
    for (const stop of stops) await stop();
    folder.remove();
  });

  async function serve(tls: Tls): Promise<Wire> {
    const wire = await startWire({ tls });
    stops.push(async () => {
      tls.close();
      await wire.server.close();
    });
    return wire;
  }

  async function expectServed({ server }: Wire, trust: Trust): Promise<void> {
    for (const [name, signIn] of Object.entries(tlsSignIns(server, trust)))
      expect(await signIn("ada"), name).to.equal("ada");
    expect(await sendTls(server.httpPort, "/healthz", trust)).to.include({ status: 200, text: '{"status":"ok"}' });
  }

  async function expectRefused({ server }: Wire, trust: Trust): Promise<void> {
    const plain = { "plain HTTP": (_login: string) => sendTls(server.httpPort, "/healthz", trust) };
    for (const [name, call] of Object.entries({ ...tlsSignIns(server, trust), ...plain })) {
      const outcome = await call("ada").then(
        () => "served",
        () => "refused",
      );
      expect(outcome, name).to.equal("refused");
    }
  }

  describe("with a certificate of the service's", () => {
    let wire: Wire;
    before(async () => {
      wire = await serve(await openTls(folder.files, log));
    });
    beforeEach(() => {
      lines.length = 0;
      wire.lines.length = 0;
    });
    afterEach("still serves, and has logged calls alone", async () => {
      await expectServed(wire, { ca: authority.cert });
      expect(wire.lines.filter(({ message }) => message !== "call")).to.deep.equal([]);
      expect(lines).to.deep.equal([]);
    });

    it("is spoken with every protocol", () => expectServed(wire, { ca: authority.cert }));

    it("is refused by clients that trust another authority", () => expectRefused(wire, { ca: stranger.cert }));

    it("is TLS 1.2 or 1.3, and tells the protocol within", async () => {
      const { grpcPort, httpPort } = wire.server;
      for (const [port, protocol] of [
        [grpcPort, "h2"],
        [httpPort, "http/1.1"],
      ] as const) {
        for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
          const options = { minVersion: version, maxVersion: version, ALPNProtocols: ["h2", "http/1.1"] };
          const socket = await openTlsSocket(port, { ca: authority.cert }, options);
          expect([socket.getProtocol(), socket.alpnProtocol]).to.deep.equal([version, protocol]);
          socket.destroy();
        }
        const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
        const refusal = await openTlsSocket(port, { ca: authority.cert }, old).catch((error) => error.code);
        expect(refusal).to.equal("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
      }
    });

    it("leaves the caller's address as it is", async () => {
      await expectServed(wire, { ca: authority.cert });
      expect(wire.lines.map(({ fields }) => fields.peer)).to.deep.equal(Array(5).fill("127.0.0.1"));
    });

    it("keeps connections, but for one on which much of an answer may still be on its way", async () => {
      const agent = new Agent({ keepAlive: true });
      const options = { method: "POST", headers: { "content-type": "application/json" }, agent };
      const connectionAfter = async (login: string) => {
        const body = JSON.stringify({ login });
        const path = "/auth.v1.AuthService/SignIn";
        return (await sendTls(wire.server.httpPort, path, { ca: authority.cert }, options, body)).headers.connection;
      };
      const after = [
        await connectionAfter("ada"),
        await connectionAfter("a".repeat(40_000)),
        await connectionAfter("ada"),
      ];
      expect(after).to.deep.equal(["keep-alive", "close", "keep-alive"]);
      agent.destroy();
    });

    it("ends connections that speak plain text or nonsense", async () => {
      const { grpcPort, httpPort } = wire.server;
      const opening = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u0016\u0003\u0001\u0000\u0005hello",
      ];
      for (const port of [grpcPort, httpPort]) {
        for (const words of opening) {
          const socket = connectTcp(port, "127.0.0.1");
          socket.write(words);
          expect(await text(socket).catch(() => ""), words).not.to.include("HTTP/1.1");
        }
        const gone = connectTcp(port, "127.0.0.1");
        await once(gone, "connect");
        gone.resetAndDestroy();
      }
    });

    it("leaves the bounds on headers and deadlines as they are", async () => {
      const session = connectHttp2(`https://127.0.0.1:${wire.server.grpcPort}`, secureOptions({ ca: authority.cert }));
      expect(await callBy(session, { "x-large": "x".repeat(9000) })).to.include({ resetCode: 11 });
      expect(await callBy(session, { "grpc-timeout": "99999999H" })).to.include({ status: "0" });
      session.destroy();
      const headers = { "x-large": "x".repeat(9000) };
      const refusal = await sendTls(wire.server.httpPort, "/healthz", { ca: authority.cert }, { headers });
      expect(refusal).to.include({ status: 431 });
      expect(JSON.parse(refusal.text)).to.include({ detail: "Request headers too large" });
    });

    it("bounds how long a handshake takes", async () => {
      const brisk = await serve(await openTls(folder.files, log, { handshakeMs: 100 }));
      for (const port of [brisk.server.grpcPort, brisk.server.httpPort]) {
        for (const beginning of ["", "\u0016\u0003\u0001\u0001"]) {
          const silent = connectTcp(port, "127.0.0.1");
          silent.write(beginning);
          await once(silent.resume(), "close");
        }
      }
      expect(brisk.lines).to.deep.equal([]);
    });

    it("lets a stop end connections that carry nothing", async () => {
      const leaving = await serve(await openTls(folder.files, log));
      const { grpcPort, httpPort } = leaving.server;
      const session = connectHttp2(`https://127.0.0.1:${grpcPort}`, secureOptions({ ca: authority.cert }));
      await callBy(session, {});
      const socket = await openTlsSocket(httpPort, { ca: authority.cert });
      socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
      await once(socket, "data");
      const closed = Promise.all([closeOf(session), closeOf(socket.resume())]);
      await leaving.server.drain();
      await closed;
    });
  });

  describe("with certificates of clients", () => {
    let wire: Wire;
    let own: Pair;
    before(async () => {
      own = await authority.issue({ name: "a gateway" });
      wire = await serve(await openTls({ ...folder.files, clientCa: folder.pathOf("clients.crt") }, log));
    });
    afterEach("still serves", () => expectServed(wire, { ca: authority.cert, own }));

    it("serves who has one", () => expectServed(wire, { ca: authority.cert, own }));

    it("refuses who has none, before any call", async () => {
      wire.lines.length = 0;
      await expectRefused(wire, { ca: authority.cert });
      expect(wire.lines).to.deep.equal([]);
    });

    it("refuses who has one of another authority, or one that has expired", async () => {
      wire.lines.length = 0;
      await expectRefused(wire, { ca: authority.cert, own: await stranger.issue({ name: "a gateway" }) });
      const past = { from: new Date(0), to: new Date(86_400_000) };
      await expectRefused(wire, { ca: authority.cert, own: await authority.issue(past) });
      expect(wire.lines).to.deep.equal([]);
    });
  });
});

/** Resolves when it has closed, be it with an error. */
async function closeOf(thing: EventEmitter): Promise<void> {
  thing.on("error", () => {});
  await new Promise((resolve) => thing.once("close", resolve));
}

async function callBy(session: ClientHttp2Session, headers: Record<string, string>) {
  const stream = session.request({
    ...{
      ":method": "POST",
      ":path": "/auth.v1.AuthService/SignIn",
      "content-type": "application/grpc",
      te: "trailers",
    },
    ...headers,
  });
  let status: unknown;
  for (const event of ["response", "trailers"]) {
    stream.on(event, (fields) => {
      status = fields["grpc-status"] ?? status;
    });
  }
  const closed = closeOf(stream.resume());
  stream.end(Buffer.alloc(5));
  await closed;
  return { status, resetCode: stream.rstCode };
}
