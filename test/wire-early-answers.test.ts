import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { framed, startWire, type Wire } from "./support/wire-kit.ts";
import { SIGN_IN, TOO_LARGE, webRefusal } from "./support/wire-refusals.ts";

describe("an answer over HTTP that comes before its request is whole", () => {
  let wire: Wire;
  before(async () => {
    wire = await startWire();
  });
  after(() => wire.server.close());

  it("is followed by what the client still sends, so that a slow sender gets it", async () => {
    const rest = Buffer.alloc(300_000);
    for (const [path, host, status, isRpc] of [
      [SIGN_IN, "a", 200, true],
      ["/test.v1.Feed/Watch", "a", 200, true],
      ["/auth.v1.AuthService/Unknown", "a", 404, false],
      ["/nowhere", "a", 404, false],
      ["/healthz", "a", 200, false],
      [SIGN_IN, "a b", 400, false],
    ] as const) {
      for (const length of ["Content-Length: 400000", "Transfer-Encoding: chunked"]) {
        const socket = connect(wire.server.httpPort, "127.0.0.1");
        const type = "Content-Type: application/grpc-web+proto";
        socket.write(`POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${type}\r\n${length}\r\n\r\n`);
        const isChunked = length.startsWith("T");
        const begun = framed(Buffer.alloc(99_995));
        socket.write(isChunked ? Buffer.concat([Buffer.from("61a80\r\n"), begun]) : begun);
        await once(socket, "readable");
        for (let turn = 0; turn < 50; turn += 1) await nextTurn();
        socket.write(rest);
        socket.end(isChunked ? "\r\n0\r\n\r\n" : "");
        const answer = await text(socket);
        expect(answer, `${path}, ${length}`).to.match(new RegExp(`^HTTP/1\\.1 ${status} .*[}\\n]$`, "s"));
        if (isRpc) expect(webRefusal(answer), `${path}, ${length}`).to.deep.equal(TOO_LARGE);
      }
    }
  });

  it("ends the connection a second later, or a megabyte", async () => {
    for (const sends of [0, 8 * 1024 * 1024]) {
      const socket = connect(wire.server.httpPort, "127.0.0.1");
      socket.on("error", () => {});
      socket.write("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n");
      socket.write(Buffer.alloc(sends));
      // Whether who sends without end still reads the answer is up to its machine.
      const answer = await text(socket).catch(() => "");
      if (sends === 0) expect(answer).to.match(/^HTTP\/1\.1 404 /);
    }
  });

  it("comes to HEAD as early, and ends when the request is whole", async () => {
    const socket = connect(wire.server.httpPort, "127.0.0.1");
    socket.write("HEAD /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    const [answer] = await once(socket, "data");
    expect(String(answer)).to.match(/^HTTP\/1\.1 200 .*\r\n\r\n$/s);
    for (let turn = 0; turn < 50; turn += 1) await nextTurn();
    expect(socket.readableEnded).to.equal(false);
    socket.end("body");
    await once(socket, "end");
  });

  it("is the last of its connection: nothing is done for a request that comes after it", async () => {
    let calls = 0;
    wire.handlers.signIn = () => ({ user: { username: `${++calls}` } });
    const socket = connect(wire.server.httpPort, "127.0.0.1");
    const body = '{"login":"a"}';
    const head = `Host: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(`POST /healthz HTTP/1.1\r\n${head}`);
    await once(socket, "readable");
    socket.end(`${body}POST ${SIGN_IN} HTTP/1.1\r\n${head}${body}`);
    expect(await text(socket)).to.match(/^HTTP\/1\.1 200 .*"status":"ok"}$/s);
    expect(calls).to.equal(0);
  });
});
