import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { type FakeGateway, startFakeGateway } from "./support/fake-gateway.ts";

const JSON_TYPE = { "content-type": "application/json" };
const FORM_TYPE = { "content-type": "application/x-www-form-urlencoded" };

describe("What plain HTTP refuses by itself", () => {
  let gateway: FakeGateway;

  beforeEach(async () => {
    gateway = await startFakeGateway();
  });
  afterEach(() => gateway.close());

  const post = (body: string | Uint8Array, headers: Record<string, string> = JSON_TYPE) =>
    gateway.send("POST", "/auth/refresh", { body, headers });

  it("answers 404 as JSON to paths that lead nowhere", async () => {
    for (const path of [
      "/",
      "/nope",
      "/favicon.ico",
      "/auth/login/",
      "/dev/mailbox",
      "/account/confirm/a/b",
      "/%E0%A4",
    ]) {
      const reply = await gateway.send("GET", path);
      expect(reply.status, path).to.equal(404);
      expect(reply.headers["content-type"]).to.equal("application/json");
      expect(reply.body).to.equal('{"detail":"Not found","code":"NOT_FOUND"}');
    }
  });

  it("answers 405 with the methods that there are", async () => {
    const wrong = await gateway.send("DELETE", "/auth/me");
    expect([wrong.status, wrong.headers.allow]).to.deep.equal([405, "GET, HEAD"]);
    expect(JSON.parse(wrong.body)).to.deep.equal({ detail: "Method not allowed", code: "METHOD_NOT_ALLOWED" });
    expect((await gateway.send("GET", "/sign-in")).headers.allow).to.equal("POST");
    expect((await gateway.send("PUT", "/account/confirm")).headers.allow).to.equal("GET, HEAD, POST");
  });

  it("answers 413 to a body that says or turns out to be too long, and ends the connection", async () => {
    const long = "x".repeat(64 * 1024 + 1);
    const said = await post(long);
    const turnedOut = await post(long, { ...JSON_TYPE, "transfer-encoding": "chunked" });
    for (const reply of [said, turnedOut]) {
      expect(reply.status).to.equal(413);
      expect(reply.headers.connection).to.equal("close");
      expect(JSON.parse(reply.body)).to.deep.equal({ detail: "Request body too large", code: "PAYLOAD_TOO_LARGE" });
    }
    expect(gateway.fake.calls).to.be.empty;
  });

  it("answers 413 before the body has come", async () => {
    const socket = connect(gateway.port, "127.0.0.1");
    socket.write("POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n");
    const [head] = (await socket.take(1).toArray()) as [Buffer];
    expect(head.toString()).to.match(/^HTTP\/1\.1 413 /);
  });

  it("takes a body of exactly 64 KiB", async () => {
    const body = JSON.stringify({ refresh_token: "x".repeat(64 * 1024 - 20) });
    expect(Buffer.byteLength(body)).to.equal(64 * 1024);
    expect((await post(body)).status).to.equal(200);
  });

  it("answers 415 to a body of another or no type, or a compressed one", async () => {
    for (const headers of [{ "content-type": "text/plain" }, {}, { ...JSON_TYPE, "content-encoding": "gzip" }]) {
      const reply = await post("{}", headers);
      expect(reply.status).to.equal(415);
      expect(JSON.parse(reply.body)).to.deep.equal({
        detail: "Unsupported media type",
        code: "UNSUPPORTED_MEDIA_TYPE",
      });
    }
    expect(gateway.fake.calls).to.be.empty;
  });

  it("takes an empty body of any or no type", async () => {
    expect((await post("", {})).status).to.equal(200);
    expect((await post("", { "content-type": "text/plain" })).status).to.equal(200);
  });

  it("reads a content type without regard to case and parameters", async () => {
    await post('{"refresh_token":"é"}', { "content-type": "Application/JSON; charset=utf-8" });
    expect(gateway.fake.calls[0]?.request).to.deep.equal({ refreshToken: "é" });
  });

  for (const [what, body, headers] of [
    ["broken JSON", '{"refresh_token":"hunter2"', JSON_TYPE],
    ["a JSON list", '["refresh_token"]', JSON_TYPE],
    ["a JSON null", "null", JSON_TYPE],
    ["JSON that is not UTF-8", Buffer.from('{"refresh_token":"\xff"}', "latin1"), JSON_TYPE],
    ["a form that is not UTF-8", "refresh_token=%FF", FORM_TYPE],
    ["JSON nested 32,000 deep", "[".repeat(32_000) + "]".repeat(32_000), JSON_TYPE],
    ["JSON nested 60,000 deep and not ended", '{"a":'.repeat(12_000), JSON_TYPE],
  ] as const) {
    it(`answers 422 to ${what} without repeating it`, async () => {
      const reply = await post(body, headers);
      expect(reply.status).to.equal(422);
      expect(JSON.parse(reply.body).detail[0]).to.deep.include({ loc: ["body"], type: "malformed" });
      expect(reply.body).not.to.contain("hunter2");
    });
  }

  it("ignores deep nesting in members that it does not read", async () => {
    const body = `{"other":${"[".repeat(30_000)}${"]".repeat(30_000)},"refresh_token":"r"}`;
    expect((await post(body)).status).to.equal(200);
  });

  it("refuses a member that a form has twice, and takes a percent sign for itself", async () => {
    expect((await post("refresh_token=a&refresh_token=b", FORM_TYPE)).status).to.equal(422);
    await post("refresh_token=100%&x", FORM_TYPE);
    expect(gateway.fake.calls[0]?.request).to.deep.equal({ refreshToken: "100%" });
  });

  it("reads a long form that repeats a name which nobody knows", async () => {
    expect((await post("a&".repeat(32_000), FORM_TYPE)).status).to.equal(200);
  });

  it("answers 500 to what nobody foresaw, logs the cause and tells nothing of it", async () => {
    gateway.fake.answer = () => {
      throw new Error("relation users does not exist");
    };
    const reply = await post("{}");
    expect(reply.status).to.equal(500);
    expect(reply.body).to.equal('{"detail":"Internal error","code":"INTERNAL"}');
    expect(gateway.fake.logged[0]).to.have.property("route", "/auth/refresh");
  });

  it("knows the statuses of errors without details", async () => {
    const thrown = [new ConnectError("late", Code.DeadlineExceeded), new ConnectError("away", Code.Unavailable)];
    const statuses: number[] = [];
    for (const error of thrown) {
      gateway.fake.answer = () => {
        throw error;
      };
      statuses.push((await post("{}")).status);
    }
    expect(statuses).to.deep.equal([504, 503]);
  });

  it("survives clients that leave in the middle of a body", async () => {
    const socket = connect(gateway.port, "127.0.0.1");
    socket.write("POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    const request = await new Promise((resolve) => gateway.server.once("request", resolve));
    const gone = new Promise((resolve) => (request as NodeJS.EventEmitter).once("close", resolve));
    socket.destroy();
    await gone;
    expect((await post("{}")).status).to.equal(200);
    expect(gateway.fake.logged).to.be.empty;
  });

  it("keeps a connection after refusals whose body was read", async () => {
    const socket = connect(gateway.port, "127.0.0.1");
    const body = "not json";
    const head = `POST /auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    socket.write(`${head}\r\n\r\n${body}${head}\r\nConnection: close\r\n\r\n${body}`);
    const answers = await text(socket);
    expect(answers.match(/HTTP\/1\.1 422/g)).to.have.length(2);
  });
});
