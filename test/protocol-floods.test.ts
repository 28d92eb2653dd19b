import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { mock } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect } from "chai";
import { SignInRequestSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { expectHarmless } from "./support/cases.ts";
import { hashesOf } from "./support/hashes.ts";
import { END, FRAME, frame, headerBlock, openFrames } from "./support/http2-frames.ts";
import { newPerson, PASSWORD } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { eventually, framed, startWire } from "./support/wire-kit.ts";

const SIGN_IN = headerBlock({
  ...{ ":method": "POST", ":scheme": "http", ":path": "/auth.v1.AuthService/SignIn", ":authority": "a" },
  ...{ "content-type": "application/grpc", te: "trailers" },
});
const GONE = {
  unrecorded: "who has asked is gone before anything is refused",
  unless: ["sign_in_failed INVALID_CREDENTIALS", "sign_in_failed OVERLOADED"],
};
const NO_CALL = { unrecorded: "no call is begun" };
const CANCEL = Buffer.of(0, 0, 0, 8);
/** More frames than any server should take of somebody who does nothing but that. */
const ENDLESS = 20_000;

describe("a client that keeps the server busy for nothing", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const portOf = (url: string) => Number(new URL(url).port);
  const open = () => openFrames(portOf(service.grpcUrl));

  it("by resetting each call at once is cut off, and its passwords are not hashed", async () => {
    await expectHarmless(service, GONE, async () => {
      const request = { login: newPerson().username, password: PASSWORD };
      const message = framed(toBinary(SignInRequestSchema, create(SignInRequestSchema, request)));
      for (const body of [[], [message]]) {
        const { flood } = await open();
        const calls = (index: number) => {
          const stream = 1 + 2 * index;
          const data = body.map((bytes) => frame(FRAME.data, END.stream, stream, bytes));
          return Buffer.concat([
            frame(FRAME.headers, END.headers, stream, SIGN_IN),
            ...data,
            frame(FRAME.reset, 0, stream, CANCEL),
          ]);
        };
        const hashes = await hashesOf(async () => {
          expect(await flood(calls, ENDLESS)).to.be.below(ENDLESS / 4);
        });
        expect(hashes).to.have.length.below(50);
      }
      return [];
    });
  });

  it("by headers that never end is cut off before they are read", async () => {
    await expectHarmless(service, NO_CALL, async () => {
      for (const more of [Buffer.of(), headerBlock({ "x-more": "x".repeat(100) })]) {
        const connection = await open();
        connection.socket.write(frame(FRAME.headers, 0, 1, SIGN_IN));
        const logged = service.lines.length;
        expect(await connection.flood(() => frame(FRAME.continuation, 0, 1, more), ENDLESS)).to.be.below(1_000);
        expect(service.lines).to.have.length(logged);
      }
      return [];
    });
  });

  it("by announcing a frame of 16 MiB is cut off", async () => {
    await expectHarmless(service, NO_CALL, async () => {
      const { socket, types } = await open();
      socket.write(frame(FRAME.headers, END.headers, 1, SIGN_IN));
      socket.write(frame(FRAME.data, 0, 1, Buffer.of(), 0xffffff));
      await once(socket, "close");
      expect(types()).to.include(FRAME.goAway);
      return [];
    });
  });

  it("by headers that do not come is cut off in the end on the gRPC listener", async () => {
    const { server } = await startWire();
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const begun = await openFrames(server.grpcPort);
      begun.socket.write(frame(FRAME.headers, 0, 1, SIGN_IN));
      const silent = connect(server.grpcPort, "127.0.0.1").resume();
      await Promise.all([once(begun.socket, "data"), once(silent, "connect")]);
      let seconds = 0;
      await eventually(() => {
        mock.timers.tick(1_000);
        return ++seconds > 1_000 || (begun.socket.destroyed && silent.destroyed);
      });
      expect(seconds).to.be.within(30, 1_000);
    } finally {
      mock.timers.reset();
    }
    await server.close();
  });

  it("by headers that do not come is answered after ten seconds on the HTTP listener", async () => {
    await expectHarmless(service, NO_CALL, async () => {
      const heads = [
        "",
        "GET /auth/me HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        "POST /auth.v1.AuthService/SignIn HTTP/1.1\r\n",
      ];
      return Promise.all(
        heads.map(async (head) => {
          const socket = connect(portOf(service.httpUrl), "127.0.0.1");
          if (head) socket.write(head);
          const answer = await text(socket);
          expect(answer).to.match(/^HTTP\/1\.1 408 /);
          expect(answer).to.include('{"detail":"Request took too long","code":"INVALID_ARGUMENT"}');
          return answer.replace("HTTP/1.1", "");
        }),
      );
    });
  });
});
