import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect, constants } from "node:http2";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { TokenService } from "../gen/auth/v1/token_service_pb.ts";
import { refusalOf } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { waysIn } from "./support/ways-in.ts";

const CROWD = 80;
const LIST_KEYS = TokenService.method.listSigningKeys;

describe("sign-ins that come in together", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
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

  it("harm nobody when they are reset before they are taken up", async () => {
    const session = connect(service.grpcUrl);
    const closed = Array.from({ length: CROWD }, () => {
      const stream = session.request({
        ...{ ":method": "POST", ":path": "/auth.v1.AuthService/SignIn" },
        ...{ "content-type": "application/grpc", te: "trailers" },
      });
      const { promise, resolve } = Promise.withResolvers<void>();
      stream.on("error", () => {}).on("close", resolve);
      setImmediate(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      return promise;
    });
    await Promise.all(closed);
    session.destroy();
    expect(await refusalOf(service.auth.signIn({}))).to.equal("INVALID_ARGUMENT");
  });
});
