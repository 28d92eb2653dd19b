import { Agent, request } from "node:http";
import { mock } from "node:test";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { expect } from "chai";
import { AuthService, SignInRequestSchema, SignInResponseSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { createInvoke } from "../src/rpc/invoke.ts";
import { reasonOf } from "../src/rpc/reasons.ts";
import { framed, type Http2Answer, sendGrpc, sendRaw, signIns, startWire, urlOf, type Wire } from "./wire-kit.ts";

const PATH = "/auth.v1.AuthService/SignIn";
const EMPTY = framed(Buffer.of());

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

  async function post(type: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
    const init = { method: "POST", headers: { "content-type": type, ...headers }, body: Buffer.from(body) };
    const res = await fetch(`${urlOf(wire.server.httpPort)}${PATH}`, init);
    return { status: res.status, text: await res.text() };
  }

  /** Code and reason that each transport answers to a message; JSON gets one of its own. */
  async function refusals(message: Uint8Array, json: string | Uint8Array) {
    const grpc = grpcRefusal(await sendGrpc(wire, {}, framed(message)));
    const web = await post("application/grpc-web+proto", framed(message));
    const binary = await post("application/proto", message);
    const text = await post("application/json", json);
    return { grpc, web: webRefusal(web.text), binary: connectRefusal(binary.text), json: connectRefusal(text.text) };
  }

  const invalid = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT" };
  const tooLarge = { code: Code.ResourceExhausted, reason: undefined };
  const onEvery = <T>(answer: T) => ({ grpc: answer, web: answer, binary: answer, json: answer });

  it("refuses a message of 64 KiB and a byte, and takes one of 64 KiB", async () => {
    const room = 64 * 1024 - signInBytes("x".repeat(60_000)).length + 60_000;
    const answer = await sendGrpc(wire, {}, framed(signInBytes("x".repeat(room))));
    expect(answer.trailers).to.include({ "grpc-status": "0" });
    const over = signInBytes("x".repeat(room + 1));
    expect(await refusals(over, `{"login":"${"x".repeat(65_537 - 12)}"}`)).to.deep.equal(onEvery(tooLarge));
  });

  it("refuses a frame that claims 4 GiB", async () => {
    const claim = framed(Buffer.from("x"), 0, 0xffffffff);
    expect(grpcRefusal(await sendGrpc(wire, {}, claim))).to.deep.equal(tooLarge);
    expect(webRefusal((await post("application/grpc-web+proto", claim)).text)).to.deep.equal(tooLarge);
  });

  it("refuses a small message that unpacks to a huge one", async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const grpc = await sendGrpc(wire, { "grpc-encoding": "gzip" }, framed(bomb, 1));
    expect(grpcRefusal(grpc)).to.deep.equal(tooLarge);
    const web = await post("application/grpc-web+proto", framed(bomb, 1), { "grpc-encoding": "gzip" });
    expect(webRefusal(web.text)).to.deep.equal(tooLarge);
    for (const type of ["application/proto", "application/json"]) {
      const { text } = await post(type, bomb, { "content-encoding": "gzip" });
      expect(connectRefusal(text), type).to.deep.equal(tooLarge);
    }
  });

  it("refuses text that is not UTF-8", async () => {
    const message = Buffer.from([0x0a, 2, 0xc3, 0x28]);
    const json = Buffer.concat([Buffer.from('{"login":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]);
    expect(await refusals(message, json)).to.deep.equal(onEvery(invalid));
  });

  it("refuses what is no message, without an echo of it", async () => {
    expect(await refusals(signInBytes("hunter2").subarray(0, 5), '{"password":"hunter2')).to.deep.equal(
      onEvery(invalid),
    );
    const { text } = await post("application/json", '{"password":"hunter2');
    expect(JSON.parse(text)).to.include({ message: "Invalid request" });
    expect(wire.lines.map(({ fields }) => fields.reason)).to.deep.equal(Array(5).fill("INVALID_ARGUMENT"));
  });

  it("refuses JSON with an unknown member or of a wrong type", async () => {
    for (const json of ['{"logn":"a"}', '{"login":5}', '{"login":["a"]}', "[]", "null", '"a"', ""]) {
      expect(connectRefusal((await post("application/json", json)).text), json).to.deep.equal(invalid);
    }
  });

  it("refuses nesting of 20,000 levels", async () => {
    const json = `${'{"login":'.repeat(20_000).slice(0, 60_000)}`;
    const arrays = `{"login":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
    const groups = Buffer.concat([Buffer.alloc(20_000, 0x7b), Buffer.alloc(20_000, 0x7c)]);
    expect(await refusals(groups, json)).to.deep.equal(onEvery(invalid));
    expect(connectRefusal((await post("application/json", arrays)).text)).to.deep.equal(invalid);
  });

  it("refuses other content types and methods", async () => {
    expect((await sendGrpc(wire, { "content-type": "application/json" }, EMPTY)).headers[":status"]).to.equal(415);
    for (const type of ["text/plain", "application/grpc", "application/x-www-form-urlencoded"]) {
      expect((await post(type, "login=a")).status, type).to.equal(415);
    }
    const res = await fetch(`${urlOf(wire.server.httpPort)}${PATH}`);
    expect(res.status).to.equal(405);
  });

  it("refuses two messages on a unary call, and none", async () => {
    const unimplemented = { code: Code.Unimplemented, reason: undefined };
    for (const body of [Buffer.concat([EMPTY, EMPTY]), Buffer.of()]) {
      expect(grpcRefusal(await sendGrpc(wire, {}, body))).to.deep.equal(unimplemented);
      expect(webRefusal((await post("application/grpc-web+proto", body)).text)).to.deep.equal(unimplemented);
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

  it("takes no deadline above 30 s, however it is written", async () => {
    wire.handlers.signIn = (_request, { timeoutMs }) => ({ user: { username: String(timeoutMs()) } });
    const within = (ms: string | undefined) => expect(Number(ms), ms).to.be.within(29_000, 30_000);
    for (const timeout of ["99999999H", "99999999m", "31S", undefined]) {
      const header = timeout === undefined ? {} : { "grpc-timeout": timeout };
      const { body } = await sendGrpc(wire, header, EMPTY);
      within(fromBinary(SignInResponseSchema, body.subarray(5)).user?.username);
      const web = await post("application/grpc-web+json", framed(Buffer.from("{}")), header);
      within(/"username":"([^"]*)"/.exec(web.text)?.[1]);
    }
    for (const timeout of ["9999999999", "2147483648", "30001", undefined]) {
      const { text } = await post(
        "application/json",
        "{}",
        timeout === undefined ? {} : { "connect-timeout-ms": timeout },
      );
      within(JSON.parse(text).user?.username);
    }
  });

  it("answers at the deadline, though the handler does not look at its signal", async () => {
    const exceeded = { code: Code.DeadlineExceeded, reason: "DEADLINE_EXCEEDED" };
    wire.handlers.signIn = () => new Promise(() => {});
    for (const timeout of ["0m", "20m", "20000u"]) {
      const grpc = await sendGrpc(wire, { "grpc-timeout": timeout }, EMPTY);
      expect(grpcRefusal(grpc), timeout).to.deep.equal(exceeded);
      const web = await post("application/grpc-web+proto", EMPTY, { "grpc-timeout": timeout });
      expect(webRefusal(web.text), timeout).to.deep.equal(exceeded);
    }
    for (const timeout of ["0", "20"]) {
      const { text } = await post("application/json", "{}", { "connect-timeout-ms": timeout });
      expect(connectRefusal(text), timeout).to.deep.equal(exceeded);
    }
  });

  it("ends a call in process after 30 s or when its caller has left", async () => {
    wire.handlers.signIn = () => new Promise(() => {});
    const invoke = createInvoke(wire.routes);
    const call = (signal: AbortSignal) =>
      invoke(AuthService.method.signIn, {}, { header: new Headers(), peerAddress: "", signal }).catch((err) => err);
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const late = call(new AbortController().signal);
      mock.timers.tick(30_000);
      expect(reasonOf(ConnectError.from(await late))).to.equal("DEADLINE_EXCEEDED");
    } finally {
      mock.timers.reset();
    }
    expect(await call(AbortSignal.abort())).to.include({ code: Code.Canceled });
    expect(reasonOf(await call(AbortSignal.timeout(5)))).to.equal("DEADLINE_EXCEEDED");
  });

  it("refuses a deadline that is none", async () => {
    for (const timeout of ["garbage", "-1S", "1", "999999999S", "1S1S"]) {
      // As other gRPC servers answer it.
      expect(grpcRefusal(await sendGrpc(wire, { "grpc-timeout": timeout }, EMPTY)).code, timeout).to.equal(
        Code.Internal,
      );
      const web = await post("application/grpc-web+proto", EMPTY, { "grpc-timeout": timeout });
      expect(webRefusal(web.text), timeout).to.deep.equal(invalid);
      const { text } = await post("application/json", "{}", { "connect-timeout-ms": `${timeout}x` });
      expect(connectRefusal(text), timeout).to.deep.equal(invalid);
    }
  });

  it("answers 400 to a request that makes no URL", async () => {
    const requests = ["[", "a b", "a/b", "user@a", "a:99999", ""].map(
      (host) => `POST ${PATH} HTTP/1.1\r\nHost: ${host}\r\n`,
    );
    const targets = ["//", "*", "http://[", "http://a/healthz", "a", "//["];
    requests.push(...targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n`));
    requests.push(`POST ${PATH} HTTP/1.0\r\n`, `POST ${PATH} HTTP/1.1\r\n`);
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

  it("answers the next request after one whose body was too large", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = (body: string, chunked: boolean) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = chunked ? { "transfer-encoding": "chunked" } : { "content-length": body.length };
        const req = request(`${urlOf(wire.server.httpPort)}${PATH}`, {
          agent,
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
        });
        req.on("response", (res) => res.resume().on("end", () => resolve(res.statusCode)));
        req.on("error", reject).end(body);
      });
    for (const chunked of [false, true]) {
      expect(await send(`{"login":"${"x".repeat(200_000)}"}`, chunked)).to.equal(429);
      expect(await send('{"login":"a"}', false)).to.equal(200);
    }
    agent.destroy();
  });
});

interface Refusal {
  readonly code: number;
  readonly reason: string | undefined;
}

function grpcRefusal({ trailers }: Http2Answer): Refusal {
  const details = trailers["grpc-status-details-bin"];
  return { code: Number(trailers["grpc-status"]), reason: reasonIn(typeof details === "string" ? details : undefined) };
}

function webRefusal(text: string): Refusal {
  const [, code] = /grpc-status: (\d+)/.exec(text) ?? [];
  return { code: Number(code), reason: reasonIn(/grpc-status-details-bin: (\S+)/.exec(text)?.[1]) };
}

function reasonIn(details: string | undefined): string | undefined {
  if (details === undefined) return undefined;
  const status = fromBinary(StatusSchema, Buffer.from(details, "base64"));
  const [info] = status.details.filter(({ typeUrl }) => typeUrl.endsWith("google.rpc.ErrorInfo"));
  return info && fromBinary(ErrorInfoSchema, info.value).reason;
}

function connectRefusal(text: string): Refusal {
  const { code, details = [] } = JSON.parse(text);
  const [info] = details.filter(({ type }: { type: string }) => type === "google.rpc.ErrorInfo");
  const reason = info && fromBinary(ErrorInfoSchema, Buffer.from(info.value, "base64")).reason;
  return { code: codeFromString(code) ?? 0, reason };
}
