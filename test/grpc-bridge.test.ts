import { once } from "node:events";
import { type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { setImmediate as nextTurn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { SignInRequestSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { AuthError } from "../src/auth/errors.ts";
import { startServer } from "../src/server/server.ts";
import { reasonOf } from "../src/wire/error-details.ts";
import { createTestLog } from "./support/log.ts";
import { framed, sendGrpc, startWire, urlOf, type Wire } from "./support/wire-kit.ts";
import { EMPTY } from "./support/wire-refusals.ts";

const WATCH = { ":path": "/test.v1.Feed/Watch" };

/** What handlers should never throw. */
const BROKEN: Readonly<Record<string, () => unknown>> = {
  nothing: () => undefined,
  null: () => null,
  text: () => "hunter2",
  "an object with traps": () => new Proxy({}, { get: trap, getPrototypeOf: trap }),
  "an error whose details are none": () => Object.assign(new ConnectError("broken"), { details: null }),
  "an error whose text is none": () => Object.assign(new ConnectError("broken"), { rawMessage: undefined }),
};

function trap(): never {
  throw new Error("a trap");
}

describe("the bridge to grpc-js", () => {
  let wire: Wire;
  beforeEach(async () => {
    wire = await startWire();
  });
  afterEach(() => wire.server.close());

  async function stillServes(server: Wire): Promise<void> {
    wire.handlers.signIn = () => ({});
    expect((await sendGrpc(server, {}, EMPTY)).trailers).to.include({ "grpc-status": "0" });
  }

  for (const [what, make] of Object.entries(BROKEN)) {
    it(`answers INTERNAL where ${what} is thrown, with interceptors and without`, async () => {
      const { services } = wire.routes;
      const bare = await startServer({
        routes: { services, interceptors: [] },
        gateway: async () => {},
        isReady: async () => true,
        ...{ host: "127.0.0.1", grpcPort: 0, httpPort: 0, log: createTestLog(() => {}) },
      });
      for (const each of [wire, { ...wire, server: bare }]) {
        wire.handlers.signIn = () => {
          throw make();
        };
        wire.handlers.watch = async function* () {
          yield { value: "one" };
          throw make();
        };
        for (const path of [{}, WATCH]) {
          const { trailers } = await sendGrpc(each, path, EMPTY);
          expect(trailers).to.include({ "grpc-status": "13", "grpc-message": "Internal%20error" });
        }
        await stillServes(each);
      }
      await bare.close();
    });
  }

  it("carries all names but those that belong to the protocol or to HTTP, or that it does not allow", async () => {
    const reserved = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer"];
    const owned = [
      "content-type",
      "content-length",
      "content-encoding",
      "host",
      "date",
      "user-agent",
      "http2-settings",
    ];
    const ours = [
      "grpc-status",
      "grpc-message",
      "grpc-encoding",
      "grpc-status-details-bin",
      "connect-protocol-version",
    ];
    const odd = ["x!", "x|y", "__proto__"];
    wire.handlers.signIn = (_request, { responseHeader, responseTrailer }) => {
      for (const name of [...reserved, ...owned, ...ours, ...odd, "x-own"]) {
        responseHeader.set(name, "7");
        responseTrailer.set(name, "7");
      }
      return {};
    };
    const { headers, trailers } = await sendGrpc(wire, {}, EMPTY);
    expect(trailers).to.include({ "grpc-status": "0", "x-own": "7" });
    expect(headers).to.include({ "x-own": "7" });
    const carried = [...Object.entries(headers), ...Object.entries(trailers)].filter(([, value]) => value === "7");
    expect(carried.map(([name]) => name)).to.deep.equal(["x-own", "x-own"]);
    await stillServes(wire);
  });

  it("carries a value that both a trailer and the error have, where HTTP allows one", async () => {
    const refuse = (trailer: Headers) => {
      trailer.set("age", "1");
      throw new ConnectError("gone", Code.Aborted, { age: "2" });
    };
    wire.handlers.signIn = (_request, { responseTrailer }) => refuse(responseTrailer);
    wire.handlers.watch = async function* ({ responseTrailer }) {
      yield { value: "one" };
      refuse(responseTrailer);
    };
    for (const path of [{}, WATCH]) {
      const { trailers } = await sendGrpc(wire, path, EMPTY);
      expect(trailers).to.include({ "grpc-status": "10", age: "1, 2" });
    }
  });

  it("hands over binary metadata unpadded, however it came, and messages without Buffers", async () => {
    wire.handlers.signIn = ({ $unknown }, { requestHeader }) => {
      const [field] = $unknown ?? [];
      const kind = Buffer.isBuffer(field?.data) ? "Buffer" : field?.data.constructor.name;
      return { user: { username: `${requestHeader.get("x-one-bin")} ${requestHeader.get("x-two-bin")} ${kind}` } };
    };
    const empty = toBinary(SignInRequestSchema, create(SignInRequestSchema));
    const unknown = framed(Buffer.concat([empty, Buffer.from([0xfa, 0x3f, 1, 0x61])]));
    const { body } = await sendGrpc(wire, { "x-one-bin": "YQ==", "x-two-bin": "YQ" }, unknown);
    expect(body.toString()).to.include("YQ YQ Uint8Array");
  });

  it("writes nothing of metadata that grpc-js cannot carry, to any console", async () => {
    const written: unknown[] = [];
    const { error, log, warn, info } = console;
    Object.assign(console, Object.fromEntries(["error", "log", "warn", "info"].map((name) => [name, keep])));
    function keep(...args: unknown[]) {
      written.push(args);
    }
    try {
      for (const headers of [{ "x-secret": "hünter2" }, { "x|secret": "hunter2" }, { "x-secret-bin": "h\u00fc" }])
        await sendGrpc(wire, headers, EMPTY);
    } finally {
      Object.assign(console, { error, log, warn, info });
    }
    expect(written).to.deep.equal([]);
    await stillServes(wire);
  });

  it("leaves a handler's signal alone when its call has ended well", async () => {
    const signals: AbortSignal[] = [];
    wire.handlers.signIn = (_request, { signal }) => {
      signals.push(signal);
      return {};
    };
    wire.handlers.watch = async function* ({ signal }) {
      signals.push(signal);
      yield { value: "one" };
    };
    for (const path of [{}, WATCH]) await sendGrpc(wire, { ...path, "grpc-timeout": "5S" }, EMPTY);
    for (let turn = 0; turn < 50; turn += 1) await nextTurn();
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([false, false]);
  });
});

describe("a stream that nobody reads", () => {
  let wire: Wire;
  let ended: Promise<unknown>;
  beforeEach(async () => {
    wire = await startWire();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    ended = promise;
    wire.handlers.watch = async function* ({ signal }) {
      try {
        for (;;) yield { value: "x".repeat(10_000) };
      } finally {
        resolve(signal.reason);
      }
    };
  });
  afterEach(() => wire.server.close());

  /** Opens the stream and waits until the server waits for its reader. */
  async function open(headers: object = {}) {
    const session = connectHttp2(urlOf(wire.server.grpcPort)).on("error", () => {});
    const fixed = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
    const stream: ClientHttp2Stream = session.request({ ...fixed, ...WATCH, ...headers }).on("error", () => {});
    stream.end(EMPTY);
    await once(stream, "response");
    for (let turn = 0; turn < 200; turn += 1) await nextTurn();
    return { session, stream };
  }

  const codeOf = (reason: unknown) => (reason instanceof ConnectError ? reason.code : undefined);

  it("ends at its deadline", async () => {
    const { session } = await open({ "grpc-timeout": "100m" });
    const reason = await ended;
    expect(reason).to.be.instanceOf(ConnectError);
    expect(reasonOf(ConnectError.from(reason))).to.equal("DEADLINE_EXCEEDED");
    session.destroy();
  });

  it("ends when its client resets it", async () => {
    const { session, stream } = await open();
    stream.close(8);
    expect(codeOf(await ended)).to.equal(Code.Canceled);
    session.destroy();
  });

  it("ends when its connection is lost", async () => {
    const { session } = await open();
    session.destroy();
    expect(codeOf(await ended)).to.equal(Code.Canceled);
  });

  it("ends when the server is closed", async () => {
    await open();
    await wire.server.close();
    expect(await ended)
      .to.be.instanceOf(AuthError)
      .with.property("reason", "UNAVAILABLE");
  });
});
