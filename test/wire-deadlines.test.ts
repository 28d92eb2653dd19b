import { mock } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { AuthService, SignInResponseSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { createInvoke } from "../src/rpc/invoke.ts";
import { reasonOf } from "../src/wire/error-details.ts";
import { framed, sendGrpc, startWire, type Wire } from "./support/wire-kit.ts";
import { connectRefusal, EMPTY, grpcRefusal, INVALID, post, webRefusal } from "./support/wire-refusals.ts";

describe("a unary call", () => {
  let wire: Wire;
  beforeEach(async () => {
    wire = await startWire();
  });
  afterEach(() => wire.server.close());

  it("takes no deadline above 30 s, however it is written", async () => {
    wire.handlers.signIn = (_request, { timeoutMs }) => ({ user: { username: String(timeoutMs()) } });
    const within = (ms: string | undefined) => expect(Number(ms), ms).to.be.within(29_000, 30_000);
    for (const timeout of ["99999999H", "99999999m", "31S", undefined]) {
      const header = timeout === undefined ? {} : { "grpc-timeout": timeout };
      const { body } = await sendGrpc(wire, header, EMPTY);
      within(fromBinary(SignInResponseSchema, body.subarray(5)).user?.username);
      const web = await post(wire, "application/grpc-web+json", framed(Buffer.from("{}")), header);
      within(/"username":"([^"]*)"/.exec(web.text)?.[1]);
    }
    for (const timeout of ["9999999999", "2147483648", "30001", undefined]) {
      const { text } = await post(
        wire,
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
      const web = await post(wire, "application/grpc-web+proto", EMPTY, { "grpc-timeout": timeout });
      expect(webRefusal(web.text), timeout).to.deep.equal(exceeded);
    }
    for (const timeout of ["0", "20"]) {
      const { text } = await post(wire, "application/json", "{}", { "connect-timeout-ms": timeout });
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
      const web = await post(wire, "application/grpc-web+proto", EMPTY, { "grpc-timeout": timeout });
      expect(webRefusal(web.text), timeout).to.deep.equal(INVALID);
      const { text } = await post(wire, "application/json", "{}", { "connect-timeout-ms": `${timeout}x` });
      expect(connectRefusal(text), timeout).to.deep.equal(INVALID);
    }
  });
});
