import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { AuthError } from "../src/auth/errors.ts";
import { peerAddress } from "../src/rpc/peer.ts";
import {
  DatabaseAway,
  errorOf,
  eventually,
  framed,
  type Seen,
  sendGrpc,
  signIns,
  startWire,
  transports,
  urlOf,
  type Wire,
} from "./support/wire-kit.ts";

describe("a call over any transport", () => {
  let wire: Wire;
  beforeEach(async () => {
    wire = await startWire();
  });
  afterEach(() => wire.server.close());

  async function errorOverAll(): Promise<Seen> {
    const seen: Seen[] = [];
    for (const [name, signIn] of Object.entries(signIns(wire))) {
      seen.push(await errorOf(signIn("alice")));
      expect(seen.at(-1), name).to.deep.equal(seen[0]);
    }
    const [first] = seen;
    if (!first) throw new Error("no transport");
    return first;
  }

  async function nextIsAnswered(): Promise<void> {
    wire.handlers.signIn = ({ login }) => ({ user: { username: login } });
    for (const [name, signIn] of Object.entries(signIns(wire))) expect(await signIn("bob"), name).to.equal("bob");
  }

  it("is answered alike", async () => {
    for (const [name, signIn] of Object.entries(signIns(wire))) expect(await signIn("Zoë 🙂"), name).to.equal("Zoë 🙂");
  });

  it("is answered over HTTP with what no cache may keep", async () => {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
    const res = await fetch(`${urlOf(wire.server.httpPort)}/auth.v1.AuthService/SignIn`, init);
    expect(res.headers.get("cache-control")).to.equal("no-store");
  });

  it("is refused with the same code, message and details", async () => {
    const violations = [{ field: "login", reason: "TOO_LONG", description: "At most 254 bytes" }] as const;
    wire.handlers.signIn = () => {
      throw new AuthError("INVALID_ARGUMENT", { violations, retryAfterMs: 1500 });
    };
    const { code, message, details } = await errorOverAll();
    expect({ code, message }).to.deep.equal({ code: Code.InvalidArgument, message: "Invalid request" });
    const [info, badRequest, retry] = details.map(({ value }) => Buffer.from(value, "base64"));
    expect(fromBinary(ErrorInfoSchema, info ?? Buffer.of())).to.include({
      domain: "latchkey",
      reason: "INVALID_ARGUMENT",
    });
    expect(fromBinary(BadRequestSchema, badRequest ?? Buffer.of()).fieldViolations[0]).to.include(violations[0]);
    const delay = fromBinary(RetryInfoSchema, retry ?? Buffer.of()).retryDelay;
    expect(delay).to.include({ seconds: 1n, nanos: 500_000_000 });
  });

  it("tells gRPC clients when to retry", async () => {
    wire.handlers.signIn = () => {
      throw new AuthError("OVERLOADED", { retryAfterMs: 1500 });
    };
    const { trailers } = await sendGrpc(wire, {}, framed(Buffer.of()));
    expect(trailers).to.include({ "grpc-status": "14", "grpc-retry-pushback-ms": "1500" });
  });

  it("tells nothing of an error that nobody foresaw, and logs it with its cause", async () => {
    const cause = Object.assign(new Error("relation users does not exist"), { parameters: ["hunter2"] });
    wire.handlers.signIn = () => {
      throw Object.assign(new Error("select * from users in /srv/app.ts", { cause }), { parameters: ["hunter2"] });
    };
    const { code, message, details } = await errorOverAll();
    expect({ code, message }).to.deep.equal({ code: Code.Internal, message: "Internal error" });
    expect(Buffer.from(details[0]?.value ?? "", "base64").toString())
      .to.include("INTERNAL")
      .and.not.include("select");
    const logged = wire.lines.filter(({ level }) => level === "error");
    expect(logged).to.have.length(5);
    for (const { fields } of logged) expect(fields.error).to.have.nested.property("cause.message", cause.message);
    expect(JSON.stringify(logged)).not.to.include("hunter2");
  });

  it("is told when the database is away", async () => {
    wire.handlers.signIn = () => Promise.reject(new DatabaseAway("connect ECONNREFUSED 10.0.0.1:5432"));
    const { code, message } = await errorOverAll();
    expect({ code, message }).to.deep.equal({ code: Code.Unavailable, message: "Service temporarily unavailable" });
  });

  it("survives an error message that is no text and too long", async () => {
    wire.handlers.signIn = () => {
      throw new ConnectError(`\ud800${"é".repeat(70_000)}`, Code.Aborted);
    };
    const { code, message } = await errorOverAll();
    expect(code).to.equal(Code.Aborted);
    expect(message.isWellFormed()).to.equal(true);
    expect(message).to.have.length(1000);
    await nextIsAnswered();
  });

  it("drops details that are too large for a trailer and keeps the reason", async () => {
    wire.handlers.signIn = () => {
      const description = "x".repeat(70_000);
      throw new AuthError("INVALID_ARGUMENT", { violations: [{ field: "login", reason: "TOO_LONG", description }] });
    };
    const { details } = await errorOverAll();
    expect(details.map(({ type }) => type)).to.deep.equal(["google.rpc.ErrorInfo"]);
    await nextIsAnswered();
  });

  it("drops a detail that cannot be encoded", async () => {
    wire.handlers.signIn = () => {
      const value = { retryDelay: { nanos: 2 ** 40 } };
      throw new ConnectError("broken", Code.Aborted, undefined, [{ desc: RetryInfoSchema, value }]);
    };
    expect(await errorOverAll()).to.deep.equal({ code: Code.Aborted, message: "broken", details: [] });
    await nextIsAnswered();
  });

  it("is ended with an error when its answer cannot be encoded", async () => {
    wire.handlers.signIn = () => ({ tokens: { expiresIn: 2 ** 40 } });
    const { "Connect JSON": _, ...binary } = transports(wire);
    for (const [name, transport] of Object.entries(binary)) {
      const { code, message } = await errorOf(createClient(AuthService, transport).signIn({}));
      expect({ code, message }, name).to.deep.equal({ code: Code.Internal, message: "Internal error" });
    }
    await nextIsAnswered();
  });

  it("knows its caller's address", async () => {
    wire.handlers.signIn = (_request, { values }) => ({ user: { username: values.get(peerAddress) } });
    for (const [name, signIn] of Object.entries(signIns(wire))) {
      expect(await signIn(""), name).to.equal(name === "in process" ? "192.0.2.1" : "127.0.0.1");
    }
  });

  it("is one line of the access log, without what the caller sent", async () => {
    wire.handlers.signIn = () => {
      throw new AuthError("INVALID_CREDENTIALS");
    };
    await errorOverAll();
    const { ms, ...fields } = wire.lines[0]?.fields ?? {};
    expect(ms).to.be.a("number");
    expect(fields).to.deep.equal({
      rpc: "auth.v1.AuthService/SignIn",
      protocol: "grpc",
      peer: "127.0.0.1",
      code: "unauthenticated",
      reason: "INVALID_CREDENTIALS",
    });
    expect(wire.lines.map((line) => line.fields.protocol)).to.deep.equal([
      "grpc",
      "grpc-web",
      "connect",
      "connect",
      "in-process",
    ]);
    expect(JSON.stringify(wire.lines)).not.to.include("alice");
  });

  it("carries a handler's headers and trailers over gRPC, with binary values unpadded", async () => {
    wire.handlers.signIn = (_request, { responseHeader, responseTrailer }) => {
      responseHeader.set("x-header", "1");
      responseHeader.set("connection", "close");
      responseTrailer.set("x-trailer-bin", Buffer.from("a").toString("base64"));
      return {};
    };
    const { headers, trailers } = await sendGrpc(wire, {}, framed(Buffer.of()));
    expect(headers).to.include({ "x-header": "1" });
    expect(trailers).to.include({ "grpc-status": "0", "x-trailer-bin": "YQ" });
    expect(trailers["grpc-message"] ?? "").to.equal("");
  });

  it("hears of it when the client goes away", async () => {
    for (const [name, transport] of Object.entries(transports(wire))) {
      const started = Promise.withResolvers<AbortSignal>();
      wire.handlers.signIn = (_request, { signal }) => {
        started.resolve(signal);
        return new Promise(() => {});
      };
      const caller = new AbortController();
      const call = errorOf(createClient(AuthService, transport).signIn({}, { signal: caller.signal }));
      const signal = await started.promise;
      const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
      caller.abort();
      await aborted;
      expect((await call).code, name).to.equal(Code.Canceled);
    }
    await eventually(() => wire.lines.length === 4);
    for (const { fields } of wire.lines) expect(fields).to.include({ code: "canceled" });
  });
});
