import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { mock } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { expect } from "chai";
import { AuthError } from "../src/auth/errors.ts";
import {
  errorOf,
  eventually,
  Feed,
  framed,
  sendGrpc,
  startWire,
  transports,
  urlOf,
  type Wire,
} from "./support/wire-kit.ts";

describe("a server stream", () => {
  let wire: Wire;
  beforeEach(async () => {
    wire = await startWire();
  });
  afterEach(() => wire.server.close());

  const feeds = () =>
    Object.entries(transports(wire)).map(([name, transport]) => ({ name, feed: createClient(Feed, transport) }));

  /** A connection on which streams can be opened whose request is begun and not ended; each gives its answer. */
  async function openSession() {
    const session = connectHttp2(urlOf(wire.server.grpcPort));
    await once(session, "remoteSettings");
    const headers = { ":method": "POST", ":path": "/test.v1.Feed/Watch", "content-type": "application/grpc" };
    const open = (begun: Buffer) => {
      const stream = session.request(headers).on("error", () => {});
      stream.write(begun);
      return once(stream, "response");
    };
    return { session, open };
  }

  it("carries every message over every transport, and is one line of the access log", async () => {
    for (const { name, feed } of feeds()) {
      const values: string[] = [];
      for await (const { value } of feed.watch({})) values.push(value);
      expect(values, name).to.deep.equal(["one", "two"]);
    }
    await eventually(() => wire.lines.length === 4);
    for (const { fields } of wire.lines) expect(fields).to.include({ rpc: "test.v1.Feed/Watch", code: "ok" });
  });

  it("ends with the handler's refusal after what was sent", async () => {
    wire.handlers.watch = async function* () {
      yield { value: "one" };
      throw new AuthError("PERMISSION_DENIED");
    };
    for (const { name, feed } of feeds()) {
      const values: string[] = [];
      const reading = (async () => {
        for await (const { value } of feed.watch({})) values.push(value);
      })();
      const { code, details } = await errorOf(reading);
      expect(values, name).to.deep.equal(["one"]);
      expect(code, name).to.equal(Code.PermissionDenied);
      expect(Buffer.from(details[0]?.value ?? "", "base64").toString(), name).to.include("PERMISSION_DENIED");
    }
  });

  it("is refused before its first message where nothing was sent yet", async () => {
    wire.handlers.watch = () => {
      throw new AuthError("INVALID_TOKEN");
    };
    const { headers } = await sendGrpc(wire, { ":path": "/test.v1.Feed/Watch" }, framed(Buffer.of()));
    expect(headers).to.include({ "grpc-status": "16" });
  });

  it("is refused when its request is no message", async () => {
    const truncated = Buffer.from([0x0a, 9, 0x61]);
    const { trailers } = await sendGrpc(wire, { ":path": "/test.v1.Feed/Watch" }, framed(truncated));
    expect(trailers).to.include({ "grpc-status": "3" });
    const url = `http://127.0.0.1:${wire.server.httpPort}/test.v1.Feed/Watch`;
    const headers = { "content-type": "application/connect+proto" };
    const res = await fetch(url, { method: "POST", headers, body: framed(truncated) });
    expect(await res.text()).to.include("invalid_argument");
  });

  it("is refused when its request does not come in time", async () => {
    const { session, open } = await openSession();
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const answers = [Buffer.of(), framed(Buffer.of()).subarray(0, 3)].map(open);
      await reached(session);
      mock.timers.tick(30_000);
      for (const [answer] of await Promise.all(answers)) expect(answer).to.include({ "grpc-status": "4" });
    } finally {
      mock.timers.reset();
      session.destroy();
    }
  });

  it("does not hold a stop while its request has not come", async () => {
    const { session, open } = await openSession();
    const answered = open(Buffer.of());
    await reached(session);
    const drained = wire.server.drain();
    expect((await answered)[0]).to.include({ "grpc-status": "14" });
    session.destroy();
    await drained;
  });

  it("stops the handler when the client leaves", async () => {
    for (const { name, feed } of feeds()) {
      const ended = Promise.withResolvers<boolean>();
      wire.handlers.watch = async function* ({ signal }) {
        try {
          yield { value: "one" };
          await once(signal, "abort");
        } finally {
          ended.resolve(signal.aborted);
        }
      };
      const caller = new AbortController();
      const reading = (async () => {
        for await (const _ of feed.watch({}, { signal: caller.signal })) caller.abort();
      })();
      expect((await errorOf(reading)).code, name).to.equal(Code.Canceled);
      expect(await ended.promise, name).to.equal(true);
    }
  });

  it("ends at the caller's deadline, though the handler does not look at its signal", async () => {
    wire.handlers.watch = async function* () {
      yield { value: "one" };
      await new Promise(() => {});
    };
    const headers = { ":path": "/test.v1.Feed/Watch", "grpc-timeout": "20m" };
    const { trailers, body } = await sendGrpc(wire, headers, framed(Buffer.of()));
    expect(trailers).to.include({ "grpc-status": "4" });
    expect(body.toString()).to.include("one");
  });

  /** Answers without end; gives how many messages were made when no more are. */
  function answerOnAndOn(): () => Promise<number> {
    let made = 0;
    wire.handlers.watch = async function* () {
      for (; made < 100_000; made += 1) yield { value: "x".repeat(10_000) };
    };
    return async () => {
      let [seen, turns] = [0, 0];
      await eventually(() => {
        turns = made === seen ? turns + 1 : 0;
        seen = made;
        return made > 0 && turns > 200;
      });
      return made;
    };
  }

  it("waits for a client that does not read", async () => {
    const madeInAll = answerOnAndOn();
    const session = connectHttp2(urlOf(wire.server.grpcPort));
    const headers = { ":method": "POST", ":path": "/test.v1.Feed/Watch", "content-type": "application/grpc" };
    const stream = session.request(headers).end(framed(Buffer.of()));
    await once(stream, "response");
    expect(await madeInAll()).to.be.below(1000);
    session.destroy();
  });

  for (const type of ["application/connect+proto", "application/grpc-web+proto"]) {
    it(`waits for a client that does not read ${type}, whose leaving is no failure`, async () => {
      const madeInAll = answerOnAndOn();
      const options = { method: "POST", headers: { "content-type": type } };
      const req = request(`${urlOf(wire.server.httpPort)}/test.v1.Feed/Watch`, options).on("error", () => {});
      const [res] = (await once(req.end(framed(Buffer.of())), "response")) as [IncomingMessage];
      res.on("error", () => {});
      expect(await madeInAll()).to.be.below(5000);
      req.destroy();
      await eventually(() => wire.lines.length > 0);
      const outcomes = wire.lines.map(({ level, message, fields }) => ({ level, message, code: fields.code }));
      expect(outcomes).to.deep.equal([{ level: "info", message: "call", code: "canceled" }]);
    });
  }
});

/** Resolves when the server has seen what was sent before. */
async function reached(session: ClientHttp2Session): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  session.ping((err) => (err ? reject(err) : resolve()));
  await promise;
}
