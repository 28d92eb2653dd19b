import { Agent, request } from "node:http";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect } from "chai";
import { SignInRequestSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { framed, sendGrpc, sendRaw, signIns, startWire, urlOf, type Wire } from "./support/wire-kit.ts";
import {
  connectRefusal,
  EMPTY,
  grpcRefusal,
  INVALID,
  post,
  SIGN_IN,
  TOO_LARGE,
  webRefusal,
} from "./support/wire-refusals.ts";

describe("hostile input", () => {
  let wire: Wire;
  before(async () => {
    wire = await startWire();
  });
  beforeEach(() => {
    wire.lines.length = 0;
    wire.handlers.signIn = ({ login }) => ({ user: { username: login } });
  });
  afterEach("still serves", async () => {
    wire.handlers.signIn = ({ login }) => ({ user: { username: login } });
    for (const [name, signIn] of Object.entries(signIns(wire))) expect(await signIn("bob"), name).to.equal("bob");
  });
  after(() => wire.server.close());

  const signInBytes = (login: string) =>
    Buffer.from(toBinary(SignInRequestSchema, create(SignInRequestSchema, { login })));

  /** Code and reason that each transport answers to a message; JSON gets one of its own. */
  async function refusals(message: Uint8Array, json: string | Uint8Array) {
    const grpc = grpcRefusal(await sendGrpc(wire, {}, framed(message)));
    const web = await post(wire, "application/grpc-web+proto", framed(message));
    const binary = await post(wire, "application/proto", message);
    const text = await post(wire, "application/json", json);
    return { grpc, web: webRefusal(web.text), binary: connectRefusal(binary.text), json: connectRefusal(text.text) };
  }

  const onEvery = <T>(answer: T) => ({ grpc: answer, web: answer, binary: answer, json: answer });

  it("refuses a message of 64 KiB and a byte, and takes one of 64 KiB", async () => {
    const room = 64 * 1024 - signInBytes("x".repeat(60_000)).length + 60_000;
    const answer = await sendGrpc(wire, {}, framed(signInBytes("x".repeat(room))));
    expect(answer.trailers).to.include({ "grpc-status": "0" });
    const over = signInBytes("x".repeat(room + 1));
    expect(await refusals(over, `{"login":"${"x".repeat(65_537 - 12)}"}`)).to.deep.equal(onEvery(TOO_LARGE));
  });

  it("refuses a frame that claims 4 GiB", async () => {
    const claim = framed(Buffer.from("x"), 0, 0xffffffff);
    expect(grpcRefusal(await sendGrpc(wire, {}, claim))).to.deep.equal(TOO_LARGE);
    expect(webRefusal((await post(wire, "application/grpc-web+proto", claim)).text)).to.deep.equal(TOO_LARGE);
  });

  it("refuses a small message that unpacks to a huge one", async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const grpc = await sendGrpc(wire, { "grpc-encoding": "gzip" }, framed(bomb, 1));
    expect(grpcRefusal(grpc)).to.deep.equal(TOO_LARGE);
    const web = await post(wire, "application/grpc-web+proto", framed(bomb, 1), { "grpc-encoding": "gzip" });
    expect(webRefusal(web.text)).to.deep.equal(TOO_LARGE);
    for (const type of ["application/proto", "application/json"]) {
      const { text } = await post(wire, type, bomb, { "content-encoding": "gzip" });
      expect(connectRefusal(text), type).to.deep.equal(TOO_LARGE);
    }
  });

  it("refuses a message that says it is compressed, but not how, and does not log it as a fault", async () => {
    const compressed = framed(Buffer.of(), 1);
    const internal = { code: Code.Internal, reason: undefined };
    const web = await post(wire, "application/grpc-web+proto", compressed);
    expect(webRefusal(web.text)).to.deep.equal(internal);
    const headers = { "content-type": "application/connect+proto" };
    const url = `${urlOf(wire.server.httpPort)}/test.v1.Feed/Watch`;
    const connect = await (await fetch(url, { method: "POST", headers, body: compressed })).text();
    expect(JSON.parse(connect.slice(5)).error).to.deep.equal({
      code: "internal",
      message: "Message compressed in no known way",
    });
    expect(wire.lines.map(({ level }) => level)).to.deep.equal(["info", "info"]);
  });

  it("refuses text that is not UTF-8", async () => {
    const message = Buffer.from([0x0a, 2, 0xc3, 0x28]);
    const json = Buffer.concat([Buffer.from('{"login":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]);
    expect(await refusals(message, json)).to.deep.equal(onEvery(INVALID));
  });

  it("refuses what is no message, without an echo of it", async () => {
    expect(await refusals(signInBytes("hunter2").subarray(0, 5), '{"password":"hunter2')).to.deep.equal(
      onEvery(INVALID),
    );
    const { text } = await post(wire, "application/json", '{"password":"hunter2');
    expect(JSON.parse(text)).to.include({ message: "Invalid request" });
    expect(wire.lines.map(({ fields }) => fields.reason)).to.deep.equal(Array(5).fill("INVALID_ARGUMENT"));
  });

  it("refuses JSON with an unknown member or of a wrong type", async () => {
    for (const json of ['{"logn":"a"}', '{"login":5}', '{"login":["a"]}', "[]", "null", '"a"', ""]) {
      expect(connectRefusal((await post(wire, "application/json", json)).text), json).to.deep.equal(INVALID);
    }
  });

  it("refuses nesting of 20,000 levels", async () => {
    const json = `${'{"login":'.repeat(20_000).slice(0, 60_000)}`;
    const arrays = `{"login":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
    const groups = Buffer.concat([Buffer.alloc(20_000, 0x7b), Buffer.alloc(20_000, 0x7c)]);
    expect(await refusals(groups, json)).to.deep.equal(onEvery(INVALID));
    expect(connectRefusal((await post(wire, "application/json", arrays)).text)).to.deep.equal(INVALID);
  });

  it("refuses other content types and methods", async () => {
    expect((await sendGrpc(wire, { "content-type": "application/json" }, EMPTY)).headers[":status"]).to.equal(415);
    for (const type of ["text/plain", "application/grpc", "application/x-www-form-urlencoded"]) {
      expect((await post(wire, type, "login=a")).status, type).to.equal(415);
    }
    const res = await fetch(`${urlOf(wire.server.httpPort)}${SIGN_IN}`);
    expect(res.status).to.equal(405);
  });

  it("refuses two messages on a unary call, and none", async () => {
    const unimplemented = { code: Code.Unimplemented, reason: undefined };
    for (const body of [Buffer.concat([EMPTY, EMPTY]), Buffer.of()]) {
      expect(grpcRefusal(await sendGrpc(wire, {}, body))).to.deep.equal(unimplemented);
      expect(webRefusal((await post(wire, "application/grpc-web+proto", body)).text)).to.deep.equal(unimplemented);
    }
  });

  it("refuses headers above 8 KiB", async () => {
    const grpc = await sendGrpc(wire, { "x-large": "x".repeat(9000) }, EMPTY);
    expect(grpc).to.include({ resetCode: 11 });
    const http = await sendRaw(wire, `GET / HTTP/1.1\r\nHost: a\r\nX-Large: ${"x".repeat(9000)}\r\n\r\n`);
    expect(http)
      .to.match(/^HTTP\/1\.1 431 /)
      .and.include('"detail":"Request headers too large"');
  });

  it("answers 400 to a request that makes no URL", async () => {
    const requests = ["[", "a b", "a/b", "user@a", "a:99999", ""].map(
      (host) => `POST ${SIGN_IN} HTTP/1.1\r\nHost: ${host}\r\n`,
    );
    const targets = ["//", "*", "http://[", "http://a/healthz", "a", "//["];
    requests.push(...targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n`));
    requests.push(`POST ${SIGN_IN} HTTP/1.0\r\n`, `POST ${SIGN_IN} HTTP/1.1\r\n`);
    for (const text of requests) {
      const answer = await sendRaw(wire, `${text}Connection: close\r\n\r\n`);
      expect(answer, text)
        .to.match(/^HTTP\/1\.1 400 /)
        .and.match(/content-type: application\/json/i);
      expect(answer, text).to.include('"code":"INVALID_ARGUMENT"').and.include('"detail":');
    }
  });

  it("answers what is no HTTP with 400", async () => {
    const answer = await sendRaw(wire, "\u0016\u0003\u0001 hello\r\n\r\n");
    expect(answer)
      .to.match(/^HTTP\/1\.1 400 /)
      .and.include('"detail":"Malformed request"');
  });

  it("answers the next request after one whose body was not read", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = (body: string, chunked: boolean, type = "application/json") =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = chunked ? { "transfer-encoding": "chunked" } : { "content-length": body.length };
        const req = request(`${urlOf(wire.server.httpPort)}${SIGN_IN}`, {
          agent,
          method: "POST",
          headers: { "content-type": type, ...headers },
        });
        req.on("response", (res) => res.resume().on("end", () => resolve(res.statusCode)));
        req.on("error", reject).end(body);
      });
    for (const chunked of [false, true]) {
      expect(await send(`{"login":"${"x".repeat(2_000_000)}"}`, chunked)).to.equal(429);
      expect(await send(`{"login":"${"x".repeat(200_000)}"}`, chunked)).to.equal(429);
      expect(await send('{"login":"a"}', false)).to.equal(200);
      expect(await send("x".repeat(20_000), chunked, "text/plain")).to.equal(415);
      expect(await send('{"login":"a"}', false)).to.equal(200);
    }
    agent.destroy();
  });
});
