import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer } from "node:net";
import { Code, createClient } from "@connectrpc/connect";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { startGrpcListener } from "../src/server/grpc-listener.ts";
import { startServer } from "../src/server/server.ts";
import { createTestLog } from "./support/log.ts";
import { errorOf, Feed, startWire, transports, urlOf, type Wire } from "./support/wire-kit.ts";

describe("a server that is stopped", () => {
  let wire: Wire;
  beforeEach(async () => {
    wire = await startWire();
  });
  afterEach(() => wire.server.close());

  it("lets calls under way end, on both listeners", async () => {
    const started = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    let running = 0;
    wire.handlers.signIn = async ({ login }) => {
      running += 1;
      if (running === 4) started.resolve();
      await finish.promise;
      return { user: { username: login } };
    };
    const calls = Object.values(transports(wire)).map((transport) =>
      createClient(AuthService, transport).signIn({ login: "a" }),
    );
    await started.promise;
    const drained = wire.server.drain();
    finish.resolve();
    for (const answer of await Promise.all(calls)) expect(answer.user?.username).to.equal("a");
    await drained;
  });

  it("ends server streams at once, with a reason to retry elsewhere", async () => {
    wire.handlers.watch = async function* () {
      yield { value: "one" };
      await new Promise(() => {});
    };
    const streams = Object.values(transports(wire)).map(async (transport) => {
      const started = Promise.withResolvers<void>();
      const reading = (async () => {
        for await (const _ of createClient(Feed, transport).watch({})) started.resolve();
      })();
      await started.promise;
      return { ended: errorOf(reading) };
    });
    const open = await Promise.all(streams);
    await wire.server.drain();
    for (const { ended } of open) {
      const { code, details } = await ended;
      expect(code).to.equal(Code.Unavailable);
      expect(Buffer.from(details[0]?.value ?? "", "base64").toString()).to.include("UNAVAILABLE");
    }
  });

  it("does not wait for connections on which nothing was asked yet", async () => {
    const silent = [wire.server.httpPort, wire.server.grpcPort].map((port) =>
      connect({ host: "127.0.0.1", port }).resume(),
    );
    await Promise.all(silent.map((socket) => once(socket, "connect")));
    const started = performance.now();
    await Promise.all([...silent.map((socket) => once(socket, "close")), wire.server.drain()]);
    expect(performance.now() - started).to.be.below(5_000);
  });

  it("says so while it still answers, and asks HTTP clients to connect elsewhere", async () => {
    const agent = new Agent({ keepAlive: true });
    const ask = async (path: string) => {
      const [res] = (await once(get(`${urlOf(wire.server.httpPort)}${path}`, { agent }), "response")) as [
        IncomingMessage,
      ];
      res.resume();
      await once(res, "end");
      return { status: res.statusCode, connection: res.headers.connection };
    };
    expect(await ask("/readyz")).to.deep.equal({ status: 200, connection: "keep-alive" });
    const drained = wire.server.drain();
    expect(await ask("/readyz")).to.deep.equal({ status: 503, connection: "close" });
    expect(await ask("/nowhere")).to.deep.equal({ status: 404, connection: "close" });
    await drained;
    agent.destroy();
  });

  it("closes idle connections of both kinds and takes no more", async () => {
    const session = connectHttp2(urlOf(wire.server.grpcPort));
    await once(session, "remoteSettings");
    const closed = once(session, "close");
    await Promise.all([wire.server.drain(), wire.server.drain()]);
    await closed;
    for (const transport of Object.values(transports(wire))) {
      expect((await errorOf(createClient(AuthService, transport).signIn({}))).code).to.equal(Code.Unavailable);
    }
  });

  it("ends connections whose calls do not end, when their time is over", async () => {
    const { routes } = wire;
    const listener = await startGrpcListener({ routes, host: "127.0.0.1", port: 0, log: createTestLog(() => {}) });
    const session = connectHttp2(urlOf(listener.port)).on("error", () => {});
    const headers = { ":method": "POST", ":path": "/auth.v1.AuthService/SignIn", "content-type": "application/grpc" };
    session.request(headers).on("error", () => {});
    await once(session, "remoteSettings");
    const closed = once(session, "close");
    await listener.drain(50);
    await closed;
  });

  it("does not wait for anybody when it is closed", async () => {
    const started = Promise.withResolvers<void>();
    wire.handlers.signIn = () => {
      started.resolve();
      return new Promise(() => {});
    };
    const { gRPC, "Connect JSON": json } = transports(wire);
    if (!gRPC || !json) throw new Error("no transport");
    const overGrpc = errorOf(createClient(AuthService, gRPC).signIn({}));
    await started.promise;
    const overHttp = errorOf(createClient(AuthService, json).signIn({}));
    await wire.server.close();
    await Promise.all([overGrpc, overHttp]);
  });
});

describe("a server whose port is taken", () => {
  for (const setting of ["GRPC_PORT", "HTTP_PORT"]) {
    it(`names ${setting}`, async () => {
      const other = createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      const address = other.address();
      if (typeof address !== "object" || !address) throw new Error("no port");
      const wire = await startWire();
      const options = {
        routes: wire.routes,
        gateway: async () => {},
        isReady: async () => true,
        host: "127.0.0.1",
        grpcPort: setting === "GRPC_PORT" ? address.port : 0,
        httpPort: setting === "HTTP_PORT" ? address.port : 0,
        log: { debug() {}, info() {}, warn() {}, error() {} },
      };
      const err = await startServer(options).catch((reason) => reason);
      expect(err).to.be.an("error").with.property("message", `${setting}: port ${address.port} of 127.0.0.1 is in use`);
      other.close();
      await wire.server.close();
    });
  }
});
