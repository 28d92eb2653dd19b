import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { connect, createServer, type Http2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { replaceStreamTables } from "../src/rpc/grpc/stream-tables.ts";
import { refusalOf } from "./support/people.ts";
import { startService } from "./support/service.ts";

const STREAM_CREATED = "http2.server.stream.created";

/** What Node keeps of a connection's streams. */
function tablesOf(session: Http2Session) {
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === "state");
  const { streams, pendingStreams } = Reflect.get(session, symbol ?? "");
  return [streams, pendingStreams];
}

describe("the streams of a gRPC connection", () => {
  it("are kept in tables that leave nothing behind, as the Node that runs this has them", async () => {
    const service = await startService();
    const sessions = new Set<Http2Session>();
    const onStream = (message: unknown) => {
      const { session } = (message as { readonly stream: ServerHttp2Stream }).stream;
      if (session?.socket.localPort === Number(new URL(service.grpcUrl).port)) sessions.add(session);
    };
    subscribe(STREAM_CREATED, onStream);
    await refusalOf(service.auth.getMe({}));
    unsubscribe(STREAM_CREATED, onStream);
    const tables = [...sessions].flatMap(tablesOf);
    expect(tables).to.have.length(2);
    for (const table of tables) expect(Object.prototype.toString.call(table)).to.equal("[object Object]");
    for (const { size } of tables) expect(size).to.equal(0);
    await service.stop();
  });

  it("are found, counted and ended in them", async () => {
    const server = createServer();
    const sessions: Http2Session[] = [];
    server.on("session", (session) => {
      expect(replaceStreamTables(session)).to.equal(true);
      sessions.push(session);
    });
    server.on("stream", (stream, { ":path": path }) => path === "/answered" && stream.respond({}, { endStream: true }));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const ask = (path: string) => client.request({ ":path": path }).on("error", () => {});
    const waiting = [ask("/open"), ask("/open")];
    const answered = Array.from({ length: 50 }, () => ask("/answered").resume());
    await Promise.all(answered.map((stream) => once(stream, "close")));
    const [session] = sessions;
    expect(session && tablesOf(session).map(({ size }) => size)).to.deep.equal([2, 0]);
    const ended = Promise.all(waiting.map((stream) => once(stream, "close")));
    session?.destroy();
    await ended;
    expect(session && tablesOf(session).map(({ size }) => size)).to.deep.equal([0, 0]);
    client.destroy();
    server.close();
  });

  it("stay where they are when they are kept in another way", () => {
    expect(replaceStreamTables({} as Http2Session)).to.equal(false);
    expect(replaceStreamTables({ [Symbol("state")]: { streams: [] } } as unknown as Http2Session)).to.equal(false);
  });
});
