import { createServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthError, AuthService, BadRequestError, httpSignIn } from "../src/client/auth-client.ts";
import * as proto from "../src/client/proto.ts";
import { PASSWORD } from "./support/people.ts";
import { urlOf } from "./support/wire-kit.ts";

const ADA = { username: "ada", password: PASSWORD };
const NEVER = new AbortController().signal;

const overGrpc = (baseUrl: string) =>
  new AuthService(createClient(proto.AuthService, createGrpcTransport({ baseUrl })));
const overConnect = (baseUrl: string) =>
  new AuthService(createClient(proto.AuthService, createConnectTransport({ baseUrl, httpVersion: "1.1" })));
const overHttp = (url: string) => new AuthService(httpSignIn(url));

async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => null,
    (reason) => reason,
  );
}

/** Checks that a sign-in ended as one that got no answer from the service; gives what happened instead. */
async function expectAway(call: Promise<unknown>, what?: string): Promise<unknown> {
  const error = await errorOf(call);
  if (!(error instanceof BadRequestError)) throw new Error(what ?? "no BadRequestError", { cause: error });
  expect([error.message, error.detail], what).to.deep.equal(Array(2).fill("Auth Service not available"));
  return error.cause;
}

describe("the gateway's client, where the service is not", () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    for (const socket of sockets) socket.destroy();
  });

  /** The address of a server that is gone after the test. */
  async function listen(server: Server): Promise<string> {
    servers.push(server);
    server.on("connection", (socket: Socket) => sockets.add(socket.on("close", () => sockets.delete(socket))));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return urlOf((server.address() as AddressInfo).port);
  }
  const answering = (listener: RequestListener) => listen(createServer(listener));
  const saying = (status: number, type: string, body: string) =>
    answering((_req, res) => res.writeHead(status, { "content-type": type }).end(body));
  const speakingHttp2 = (answer: (stream: ServerHttp2Stream) => void) =>
    listen(createHttp2Server().on("stream", (stream) => answer(stream.on("error", () => {}))));

  it("says that it is not available when nobody listens or the name leads nowhere", async () => {
    // Port 1 is kept for a service that nobody runs, and nothing has a name under invalid (RFC 6761 section 6.4).
    for (const url of ["http://127.0.0.1:1", "http://latchkey.invalid"]) {
      for (const client of [overGrpc(url), overConnect(url), overHttp(url)]) await expectAway(client.signIn(ADA), url);
    }
  });

  it("says so when the connection is closed instead of an answer, or within it", async () => {
    const closed = await listen(createTcpServer((socket) => socket.once("data", () => socket.resetAndDestroy())));
    for (const client of [overGrpc(closed), overConnect(closed), overHttp(closed)])
      await expectAway(client.signIn(ADA));
    const half = await answering((_req, res) => {
      res.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      res.write('{"access_token": "a"', () => res.destroy());
    });
    for (const client of [overConnect(half), overHttp(half)]) await expectAway(client.signIn(ADA));
    const reset = await speakingHttp2((stream) => stream.close(2));
    await expectAway(overGrpc(reset).signIn(ADA));
  });

  it("says so when gRPC answers `unavailable` without a reason of the service, or a proxy in its own words", async () => {
    const answers = [
      { ":status": 200, "content-type": "application/grpc", "grpc-status": "14", "grpc-message": "no upstream" },
      { ":status": 503, "content-type": "text/html" },
      { ":status": 404, "content-type": "text/plain" },
    ];
    for (const headers of answers) {
      const url = await speakingHttp2((stream) => stream.respond(headers, { endStream: true }));
      await expectAway(overGrpc(url).signIn(ADA), JSON.stringify(headers));
    }
    const plain = await saying(400, "text/plain", "what?");
    await expectAway(overGrpc(plain).signIn(ADA));
  });

  it("says so when HTTP is answered by somebody else", async () => {
    const answers: [number, string, string][] = [
      [502, "text/html", "<h1>Bad Gateway</h1>"],
      [503, "application/json", '{"message": "no upstream"}'],
      [404, "application/json", "null"],
      [500, "application/json", '{"detail": {"in": "no form of ours"}}'],
      [200, "text/html", "<p>Log in to the hotel's network</p>"],
      [200, "application/json", '{"hello": "world"}'],
      [204, "text/plain", ""],
    ];
    for (const [status, type, body] of answers) {
      const url = await saying(status, type, body);
      for (const client of [overConnect(url), overHttp(url)]) await expectAway(client.signIn(ADA), body);
    }
  });

  it("quotes no answer that it could not read, since that may hold tokens", async () => {
    const url = await saying(200, "application/json", '{"access_token": canary}');
    const cause = await expectAway(overHttp(url).signIn(ADA));
    expect(`${cause}`).to.equal("Error: HTTP 200 with a body that is no answer of the service");
  });

  it("takes the refusal of a service that gives no reason with it, as the one of the document did", async () => {
    const refusal = await errorOf(overHttp(await saying(401, "application/json", '{"detail": "No"}')).signIn(ADA));
    expect(refusal).to.be.instanceOf(AuthError).and.include({ detail: "No", code: undefined, message: "No" });
    const faults = '[{"loc": ["body", "password"], "msg": "Field required", "type": "missing"}]';
    const url = await saying(422, "application/json", `{"detail": ${faults}}`);
    const listed = await errorOf(overHttp(url).signIn(ADA));
    expect(listed)
      .to.be.instanceOf(AuthError)
      .and.deep.include({ detail: JSON.parse(faults) });
  });

  it("takes no password where a redirect leads", async () => {
    let asked = 0;
    const elsewhere = await answering((_req, res) => {
      asked += 1;
      res.end("{}");
    });
    for (const status of [302, 307, 308]) {
      const url = await answering((_req, res) => res.writeHead(status, { location: `${elsewhere}/sign-in` }).end());
      await expectAway(overHttp(url).signIn(ADA), String(status));
    }
    expect(asked).to.equal(0);
  });

  it("finds the service under a path, and takes no URL that cannot be the service's", async () => {
    const paths: (string | undefined)[] = [];
    const url = await answering((req, res) => {
      paths.push(req.url);
      res.writeHead(401, { "content-type": "application/json" }).end('{"detail": "No"}');
    });
    for (const path of ["", "/", "/accounts", "/accounts/"]) await errorOf(overHttp(url + path).signIn(ADA));
    expect(paths).to.deep.equal(["/sign-in", "/sign-in", "/accounts/sign-in", "/accounts/sign-in"]);
    for (const wrong of ["", "localhost", "ftp://localhost", "http://ada:canary@localhost"]) {
      expect(() => httpSignIn(wrong), wrong)
        .to.throw(TypeError)
        .and.have.property("message")
        .that.does.not.include("canary");
    }
  });

  it("waits for an answer only as long as it is told to, and no longer than its caller does", async () => {
    const silent = await listen(createTcpServer(() => {}));
    for (const client of [overGrpc(silent), overConnect(silent), overHttp(silent)]) {
      const cause = await expectAway(client.signIn(ADA, { timeoutMs: 5, signal: NEVER }));
      expect(cause).not.to.equal(undefined);
      const caller = new AbortController();
      const call = errorOf(client.signIn(ADA, { signal: caller.signal }));
      const reason = new Error("the person has left");
      caller.abort(reason);
      expect(await call).to.equal(reason);
      expect(await errorOf(client.signIn(ADA, { signal: caller.signal }))).to.equal(reason);
    }
  });
});
