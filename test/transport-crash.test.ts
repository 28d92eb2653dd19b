import { connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { send } from "./support/http.ts";
import { signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";

const ROUTES = [
  ["an RPC", "POST", "/auth.v1.AuthService/SignIn"],
  ["an RPC that is unknown", "POST", "/auth.v1.AuthService/Nothing"],
  ["a REST route", "POST", "/sign-in"],
  ["a REST route with a parameter", "GET", "/api/auth/confirmed_email/x"],
  ["a page", "GET", "/account/confirm/x"],
  ["a page's form", "POST", "/account/reset"],
  ["the development mailbox", "GET", "/dev/mailbox"],
  ["a path that leads nowhere", "GET", "/nowhere"],
] as const;

describe("no request ends the process:", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());
  afterEach("it still serves", async () => {
    const { options } = await signIn(service, await signUpConfirmed(service));
    expect((await service.auth.getMe({}, options)).user?.isActive).to.equal(true);
    expect((await send(service, "/readyz")).status).to.equal(200);
    expect(service.lines.filter((line) => line.includes('"level":"error"'))).to.deep.equal([]);
  });

  /** Writes a request by hand and gives the whole of what comes back. */
  const write = (request: string) => {
    const socket = connect(Number(new URL(service.httpUrl).port), "127.0.0.1");
    socket.write(request);
    return text(socket);
  };
  const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
  const expectMalformed = (answer: string, what: string) => {
    expect(statusOf(answer), what).to.equal(400);
    expect(answer, what).to.match(/content-type: application\/json/i);
    expect(answer, what).to.contain('"code":"INVALID_ARGUMENT"').and.contain('"detail":');
  };

  for (const [what, method, path] of ROUTES) {
    it(`a Host that is none, sent to ${what}`, async () => {
      for (const host of ["[", "]", "a b", "a:99999", "a:b", "%", "a/b", "u@a", "\x80", "[::1", ""]) {
        const head = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
        expectMalformed(await write(head), host);
      }
    });

    it(`no Host or two, sent to ${what}`, async () => {
      expectMalformed(await write(`${method} ${path} HTTP/1.0\r\n\r\n`), "HTTP/1.0");
      expectMalformed(await write(`${method} ${path} HTTP/1.1\r\nConnection: close\r\n\r\n`), "HTTP/1.1");
      const two = await write(`${method} ${path} HTTP/1.1\r\nHost: a\r\nHost: [\r\nConnection: close\r\n\r\n`);
      expect(statusOf(two)).to.be.within(200, 499);
    });

    it(`a target that is no path, or odd, sent to ${what}`, async () => {
      for (const target of [`http://a${path}`, `http://[${path}`, path.slice(1), "*", `a:443${path}`])
        expectMalformed(await write(`${method} ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`), target);
      for (const target of [
        `${path}/%`,
        `${path}%E0%A4`,
        `${path}?%`,
        `${path}?=&&=%zz`,
        `${path}#`,
        `//[${path}`,
        `${path}\\`,
      ]) {
        const answer = await write(`${method} ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
        expect(statusOf(answer), target).to.be.within(200, 499);
      }
    });
  }

  it("health is told to balancers that send no Host", async () => {
    for (const path of ["/healthz", "/readyz"]) {
      expect(statusOf(await write(`GET ${path} HTTP/1.0\r\n\r\n`))).to.equal(200);
      expect(statusOf(await write(`GET ${path} HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n`))).to.equal(200);
    }
  });

  it("a percent sign that begins no escape, in a token or an id", async () => {
    for (const [path, status] of [
      ["/account/confirm/%zz", 200],
      ["/account/reset/%E0%A4", 200],
      ["/api/auth/confirmed_email/%", 400],
      ["/dev/mailbox/%", 404],
      ["/%", 404],
    ] as const) {
      const answer = await write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      expect(statusOf(answer), path).to.equal(status);
    }
  });

  it("a malformed request after a good one on the same connection", async () => {
    const answers = await write(
      "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n",
    );
    expect(answers.match(/HTTP\/1\.1 (\d{3}) /g)).to.deep.equal(["HTTP/1.1 200 ", "HTTP/1.1 400 "]);
    expectMalformed(answers.slice(answers.lastIndexOf("HTTP/1.1 400")), "the second");
  });

  it("upgrades, tunnels, expectations and methods that nobody serves", async () => {
    const h2c = "Connection: close, upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA";
    for (const [head, status] of [
      ["GET /auth/me HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: websocket", 401],
      [`GET /auth/me HTTP/1.1\r\nHost: a\r\n${h2c}`, 401],
      ["GET /auth/me HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\nConnection: close", 401],
      ["TRACE /auth/me HTTP/1.1\r\nHost: a\r\nConnection: close", 405],
      ["PROPFIND /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close", 404],
    ] as const) {
      const answer = await write(`${head}\r\n\r\n`);
      expect(statusOf(answer), head).to.equal(status);
      expect(answer, head).to.contain('"detail":');
    }
    expect(await write("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")).to.equal("");
  });

  it("a path or an authority over gRPC that makes no URL", async () => {
    const session = connectHttp2(service.grpcUrl).on("error", () => {});
    const status = (headers: OutgoingHttpHeaders) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const fixed = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
      const stream = session.request({ ...fixed, ...headers });
      stream.on("response", (answer) => answer["grpc-status"] && resolve(answer["grpc-status"]));
      stream.on("trailers", (trailers) => resolve(trailers["grpc-status"]));
      stream.on("error", () => resolve("reset")).resume();
      stream.end(Buffer.alloc(5));
      return promise;
    };
    for (const authority of ["[", "%", "a:99999"])
      expect(await status({ ":authority": authority, ":path": "/auth.v1.AuthService/GetMe" }), authority).to.equal(
        "16",
      );
    for (const odd of [{ ":authority": "a b" }, { ":path": "*" }])
      expect(await status({ ":path": "/auth.v1.AuthService/GetMe", ...odd }), JSON.stringify(odd)).to.equal("reset");
    for (const path of ["/", "//[", "/auth.v1.AuthService/", "/auth.v1.AuthService/%zz", "/__proto__/constructor"])
      expect(await status({ ":path": path }), path).to.equal("12");
    session.destroy();
  });
});
