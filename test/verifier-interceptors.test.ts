import { once } from "node:events";
import { createServer as createHttp1, type Server } from "node:http";
import { createServer as createHttp2, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { Code, type ConnectError, type ConnectRouter, createClient, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { Metadata, status } from "@grpc/grpc-js";
import { expect } from "chai";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { Health } from "../gen/health/v1/health_pb.ts";
import {
  authenticate,
  claimsKey,
  connectInterceptor,
  grpcInterceptor,
  type Verifier,
  VerifierAway,
} from "../src/client/verifier-entry.ts";
import { type FakeTokenService, startFakeTokenService } from "./support/fake-token-service.ts";
import { type GrpcEcho, startGrpcEcho } from "./support/grpc-echo.ts";
import { bearer } from "./support/people.ts";
import { createVerifiers } from "./support/verifiers.ts";
import { waitUntil } from "./support/wait.ts";

const BAD = ["", "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer a b"];

describe("behind a verifier", () => {
  let service: FakeTokenService;
  let verifier: Verifier;
  let token = "";
  const verifiers = createVerifiers();
  const away: Verifier = {
    verify: async () => {
      throw new VerifierAway("away");
    },
    ready: async () => {},
    isInSync: () => false,
    close() {},
  };
  const stops: (() => void | Promise<void>)[] = [];
  before(async () => {
    service = await startFakeTokenService();
    verifier = verifiers.at(service.url);
    await verifier.ready();
    ({ token } = service.mint());
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });
  after(async () => {
    verifiers.close();
    await service.stop();
  });

  describe("a plain HTTP server", () => {
    it("knows who calls by the request's headers", async () => {
      const url = await listen(
        createHttp1(async (req, res) => {
          const claims = await authenticate(verifier, req.headers);
          res.writeHead(claims ? 200 : 401).end(claims?.username);
        }),
      );
      const good = await fetch(url, bearer(token));
      expect([good.status, await good.text()]).to.deep.equal([200, "ada"]);
      expect((await fetch(url)).status).to.equal(401);
      for (const authorization of BAD) expect((await fetch(url, { headers: { authorization } })).status).to.equal(401);
    });
  });

  describe("a Connect server", () => {
    const name = ({ values }: HandlerContext) => values.get(claimsKey)?.username ?? "nobody";
    const routes = (router: ConnectRouter) =>
      void router
        .service(Health, {
          check: (_, context) => {
            context.responseHeader.set("caller", name(context));
            return {};
          },
          async *watch(_, context) {
            context.responseHeader.set("caller", name(context));
            yield {};
          },
        })
        .service(ServerReflection, {
          async *serverReflectionInfo(requests, context) {
            for await (const { host } of requests) yield { validHost: `${name(context)}: ${host}` };
          },
        });
    const serve = (by: Verifier) => connectNodeAdapter({ routes, interceptors: [connectInterceptor(by)] });

    for (const [protocol, connect] of [
      ["gRPC", async (by: Verifier) => createGrpcTransport({ baseUrl: await listenHttp2(serve(by)) })],
      [
        "Connect",
        async (by: Verifier) =>
          createConnectTransport({ baseUrl: await listen(createHttp1(serve(by))), httpVersion: "1.1" }),
      ],
    ] as const) {
      it(`knows who calls over ${protocol}, and refuses everybody else`, async () => {
        const client = createClient(Health, await connect(verifier));
        const callers: (string | null)[] = [];
        const onHeader = (headers: Headers) => void callers.push(headers.get("caller"));
        await client.check({}, { ...bearer(token), onHeader });
        for await (const _ of client.watch({}, { ...bearer(token), onHeader }));
        expect(callers).to.deep.equal(["ada", "ada"]);
        for (const authorization of BAD)
          for (const call of [client.check, (_: object, options: object) => collect(client.watch({}, options))])
            expect(await codeOf(call({}, { headers: { authorization } }))).to.equal(Code.Unauthenticated);
        const unsure = createClient(Health, await connect(away));
        expect(await codeOf(unsure.check({}, bearer(token)))).to.equal(Code.Unavailable);
      });
    }

    it("knows who sends a stream of messages", async () => {
      const transport = createGrpcTransport({ baseUrl: await listenHttp2(serve(verifier)) });
      const client = createClient(ServerReflection, transport);
      const requests = async function* () {
        for (const host of ["a", "b"]) yield { host };
      };
      const answers = await collect(client.serverReflectionInfo(requests(), bearer(token)));
      expect(answers.map(({ validHost }) => validHost)).to.deep.equal(["ada: a", "ada: b"]);
      const refused = collect(client.serverReflectionInfo(requests()));
      expect(await codeOf(refused)).to.equal(Code.Unauthenticated);
    });
  });

  describe("a grpc-js server", () => {
    async function start(by: Verifier, options?: Parameters<typeof grpcInterceptor>[1]): Promise<GrpcEcho> {
      const echo = await startGrpcEcho(grpcInterceptor(by, options));
      stops.push(echo.stop);
      return echo;
    }
    const withToken = (...values: string[]) => {
      const metadata = new Metadata();
      for (const value of values) metadata.add("authorization", value);
      return metadata;
    };

    it("knows who calls, be it with one message or with many", async () => {
      const echo = await start(verifier);
      const good = () => withToken(`Bearer ${token}`);
      expect(await echo.unary("one", good())).to.equal("ada: one");
      expect(await echo.collect(["one", "two", "three"], good())).to.equal("ada: one,two,three");
      expect(await echo.collect([], good())).to.equal("ada: ");
      expect(await echo.chat(["one", "two", "three"], good())).to.deep.equal(["ada: one", "ada: two", "ada: three"]);
    });

    it("refuses everybody else before a handler begins, those who have sent all of it and those who have not", async () => {
      const echo = await start(verifier);
      for (const metadata of [...BAD.map((value) => withToken(value)), withToken()]) {
        const calls = [
          echo.unary("one", metadata),
          echo.collect(["one", "two"], metadata),
          echo.chat(["one"], metadata),
        ];
        for (const call of calls) expect(await codeOf(call)).to.equal(status.UNAUTHENTICATED);
        const { call, ended } = echo.openChat(metadata);
        call.resume();
        expect(await ended).to.equal(status.UNAUTHENTICATED);
      }
      expect(echo.events).to.deep.equal([]);
      expect(await echo.unary("one", withToken(`Bearer ${token}`))).to.equal("ada: one");
    });

    it("says that it is unavailable while it cannot know", async () => {
      const echo = await start(away);
      for (const call of [echo.unary("one", withToken(`Bearer ${token}`)), echo.chat(["one"], withToken("Bearer x"))])
        expect(await codeOf(call)).to.equal(status.UNAVAILABLE);
      expect(echo.events).to.deep.equal([]);
    });

    it("lets calls of public methods through, and does not ask who calls", async () => {
      const echo = await start(away, { isPublic: (path) => path.startsWith("/echo.Open/") });
      expect(await echo.unary("one", withToken("Bearer x"), "/echo.Open/Unary")).to.equal("somebody: one");
      expect(await codeOf(echo.unary("one", withToken("Bearer x")))).to.equal(status.UNAVAILABLE);
    });

    it("begins nothing for a caller who has left while the token was checked", async () => {
      const checks: (() => void)[] = [];
      const verify = async (text: string) => {
        await new Promise<void>((resolve) => checks.push(resolve));
        return verifier.verify(text);
      };
      const echo = await start({ ...away, verify });
      const { call, ended } = echo.openChat(withToken(`Bearer ${token}`));
      call.write("one");
      await waitUntil(() => checks.length === 1);
      call.resume().cancel();
      await ended;
      // The server has heard of it when it hears of the next call on that connection.
      const next = echo.unary("one", withToken(`Bearer ${token}`));
      await waitUntil(() => checks.length === 2);
      for (const go of checks) go();
      expect(await next).to.equal("ada: one");
      expect(echo.events).to.deep.equal(["unary"]);
    });

    it("tells a handler when its caller leaves later", async () => {
      const echo = await start(verifier);
      const { call } = echo.openChat(withToken(`Bearer ${token}`));
      call.write("one");
      await once(call, "data");
      call.cancel();
      await waitUntil(() => echo.events.includes("cancelled"));
    });
  });

  async function listen(server: Server): Promise<string> {
    await once(server.listen(0, "127.0.0.1"), "listening");
    stops.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function listenHttp2(handler: ReturnType<typeof connectNodeAdapter>): Promise<string> {
    const sessions = new Set<ServerHttp2Session>();
    const server = createHttp2(handler).on("session", (session) => sessions.add(session));
    await once(server.listen(0, "127.0.0.1"), "listening");
    stops.push(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
});

/** The code with which a call was refused; 0 when it was not. */
async function codeOf(call: Promise<unknown>): Promise<number> {
  return call.then(
    () => 0,
    (error: ConnectError) => error.code,
  );
}

async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const message of messages) collected.push(message);
  return collected;
}
