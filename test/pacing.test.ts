import { once } from "node:events";
import { Agent, request } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { connect as connectSocket } from "node:net";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { TokenService } from "../gen/auth/v1/token_service_pb.ts";
import { refusalOf } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { waitUntil } from "./support/wait.ts";
import { waysIn } from "./support/ways-in.ts";

const CROWD = 80;
const LIST_KEYS = TokenService.method.listSigningKeys;

describe("sign-ins that come in together", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { trustedProxies: ["127.0.0.1"] } });
  });
  after(() => service.stop());

  /** Makes 80 calls and one more after them; gives how many of the 80 had been answered when that one was. */
  async function answeredBefore(signIn: () => Promise<unknown>, listKeys: () => Promise<unknown>): Promise<number> {
    await listKeys();
    let answered = 0;
    const crowd = Array.from({ length: CROWD }, async () => {
      expect(JSON.stringify(await signIn())).to.include("INVALID_ARGUMENT");
      answered += 1;
    });
    await listKeys();
    const before = answered;
    await Promise.all(crowd);
    return before;
  }

  for (const name of ["connect-node's gRPC", "grpc-js"])
    it(`are overtaken by a call that comes after them, over ${name}`, async () => {
      const { call } = waysIn(service)[name] ?? {};
      const signIn = async () => call?.(AuthService.method.signIn, {});
      expect(await answeredBefore(signIn, async () => call?.(LIST_KEYS, {}))).to.be.below(CROWD / 2);
    });

  for (const path of ["/auth.v1.AuthService/SignIn", "/sign-in"])
    it(`are overtaken by a call that comes after them, over HTTP to ${path}`, async () => {
      const agent = new Agent({ keepAlive: true });
      const signIn = () => post(agent, path, "{}");
      const listKeys = () => post(agent, `/${LIST_KEYS.parent.typeName}/${LIST_KEYS.name}`, "{}");
      // Connections are there then: they would come one after the other.
      await Promise.all(Array.from({ length: CROWD + 1 }, listKeys));
      expect(await answeredBefore(signIn, listKeys)).to.be.below(CROWD / 2);
      agent.destroy();
    });

  async function post(agent: Agent, path: string, body: string): Promise<string> {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const call = request(`${service.httpUrl}${path}`, { method: "POST", headers, agent }).end(body);
    const [answer] = await once(call, "response");
    return text(answer);
  }

  it("leave room for others, and turns, however many one address sends", async () => {
    const socket = connectSocket(Number(new URL(service.httpUrl).port), "127.0.0.1");
    let answers = "";
    socket.on("data", (chunk: Buffer) => {
      answers += chunk;
    });
    const many = 3_000;
    const one = "POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    socket.write(one.repeat(many));
    const answered = () => answers.split("HTTP/1.1 ").length - 1;
    await waitUntil(() => answered() > 0);
    const headers = { "x-forwarded-for": "203.0.113.9" };
    expect(await refusalOf(service.auth.signIn({}, { headers }))).to.equal("INVALID_ARGUMENT");
    expect(answered()).to.be.below(many / 2);
    await waitUntil(() => answered() === many);
    socket.destroy();
    const statuses = [...answers.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    expect(new Set(statuses)).to.deep.equal(new Set(["422", "503"]));
    expect(answers).to.match(/retry-after: [1-3]\r\n/);
  });

  it("are answered at once where there is nothing in them", async () => {
    const session = connect(service.grpcUrl);
    const statuses = Array.from({ length: CROWD }, async () => {
      const stream = requestSignIn(session);
      // An empty frame, for what has a body may have a message.
      stream.resume().end();
      const [headers] = await once(stream, "response");
      return headers["grpc-status"];
    });
    expect(new Set(await Promise.all(statuses))).to.deep.equal(new Set(["12"]));
    session.destroy();
  });

  it("harm nobody when they are reset before they are taken up", async () => {
    const session = connect(service.grpcUrl);
    const closed = Array.from({ length: CROWD }, () => {
      const stream = requestSignIn(session);
      const { promise, resolve } = Promise.withResolvers<void>();
      stream.on("error", () => {}).on("close", resolve);
      setImmediate(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      return promise;
    });
    await Promise.all(closed);
    session.destroy();
    expect(await refusalOf(service.auth.signIn({}))).to.equal("INVALID_ARGUMENT");
  });

  function requestSignIn(session: ClientHttp2Session): ClientHttp2Stream {
    const path = { ":method": "POST", ":path": "/auth.v1.AuthService/SignIn" };
    return session.request({ ...path, "content-type": "application/grpc", te: "trailers" });
  }
});
