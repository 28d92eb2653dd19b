import { connect } from "node:http2";
import { availableParallelism } from "node:os";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService, SignInRequestSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { type Metrics, NO_METRICS } from "../src/metrics.ts";
import { hashesOf } from "./support/hashes.ts";
import { postJson } from "./support/http.ts";
import { holdLock } from "./support/locks.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { waitUntil } from "./support/wait.ts";
import { type Refused, waysIn } from "./support/ways-in.ts";
import { framed } from "./support/wire-kit.ts";

const PLACES = availableParallelism() * 33;
const FLOOD = Math.max(500, 4 * PLACES);
const STREAMS = 90;
const CROWD = "198.51.100.1";

describe("while the database keeps everybody waiting", () => {
  let service: TestService;
  let person: Awaited<ReturnType<typeof signUpConfirmed>>;
  let takenPlaces: () => number;
  before(async () => {
    const observe: Metrics["observe"] = ({ hashing }) => {
      takenPlaces = () => hashing().places;
    };
    service = await startService({ config: { trustedProxies: ["127.0.0.1"] }, metrics: { ...NO_METRICS, observe } });
    person = await signUpConfirmed(service);
  });
  after(() => service.stop());

  const from = (address: string) => ({ headers: { "x-forwarded-for": address } });

  /** Calls, each from the address that it is given, on connections enough for all to be under way at once. */
  function signInFrom(addresses: readonly string[]) {
    const clients = Array.from({ length: Math.ceil(addresses.length / STREAMS) }, () =>
      createClient(AuthService, createGrpcTransport({ baseUrl: service.grpcUrl })),
    );
    const request = { login: person.username, password: PASSWORD };
    return addresses.map((address, index) =>
      refusalOf((clients[index % clients.length] ?? service.auth).signIn(request, from(address))),
    );
  }

  /** What came of calls that all arrived before the first account was read, in the order in which they ended. */
  async function endsOf(calls: () => readonly Promise<string>[], refusedBefore: number) {
    const ends: string[] = [];
    const lock = await holdLock(service, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
    const all = calls().map((call) => call.then((end) => void ends.push(end)));
    await waitUntil(() => ends.length >= refusedBefore);
    await lock.release();
    await Promise.all(all);
    return ends;
  }

  // The first of them: it counts what the log tells of the refusals of a second.
  it("everybody is refused alike on every way in and told when to come back, in one line of the log for a second", async () => {
    const request = { login: person.username, password: PASSWORD };
    const { headers } = from(CROWD);
    const lock = await holdLock(service, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
    const crowd = signInFrom(Array(PLACES + 1).fill(CROWD));
    // This one may have come in with the others and found no place then.
    expect(await Promise.race(crowd)).to.equal("OVERLOADED");
    const known = service.lines.length;
    const refusals: Refused[] = [];
    // HTTP Basic without a key is nobody's: it is no way past the door.
    for (const presented of [headers, { ...headers, authorization: "Basic YTpi" }]) {
      for (const { call } of Object.values(waysIn(service))) {
        const outcome = await call(AuthService.method.signIn, request, presented);
        if ("refused" in outcome) refusals.push(outcome.refused);
      }
    }
    const rest = await postJson(service, "/sign-in", request, headers);
    await lock.release();
    await Promise.all(crowd);
    expect(refusals).to.have.length(10);
    for (const { code, message, details } of refusals) {
      expect([code, message]).to.deep.equal(["Unavailable", "Service temporarily unavailable"]);
      expect(JSON.stringify(details)).to.match(/"OVERLOADED".*"retryDelay":"\d/);
    }
    expect(rest).to.include({ status: 503 });
    expect(Number(rest.headers.get("retry-after"))).to.be.within(1, 30);
    const linesOf = (text: string) => service.lines.slice(known).filter((line) => line.includes(text));
    const counted = () => linesOf("refused at the door").reduce((sum, line) => sum + JSON.parse(line).refused, 0);
    await waitUntil(() => counted() >= 11);
    expect(counted()).to.be.at.most(12);
    expect(linesOf("refused at the door").length).to.be.at.most(3);
    expect(linesOf("OVERLOADED")).to.deep.equal([]);
  });

  it("whose time is too short for the line is refused like that as well", async () => {
    const request = { login: person.username, password: PASSWORD };
    const lock = await holdLock(service, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
    const crowd = signInFrom(Array(PLACES - 10).fill(CROWD));
    await waitUntil(() => takenPlaces() === PLACES - 10);
    const known = service.lines.length;
    const ways = Object.values(waysIn(service));
    for (const { call, timeout } of ways) {
      const outcome = await call(AuthService.method.signIn, request, { ...from(CROWD).headers, ...timeout(10) });
      expect(JSON.stringify(outcome)).to.match(/"OVERLOADED".*"retryDelay":"\d/);
    }
    await lock.release();
    expect(await Promise.all(crowd)).to.deep.equal(Array(PLACES - 10).fill(""));
    const linesOf = (text: string) => service.lines.slice(known).filter((line) => line.includes(text));
    await waitUntil(() => linesOf("refused at the door").length > 0);
    expect(linesOf("OVERLOADED")).to.deep.equal([]);
  });

  it("five hundred sign-ins at once take no more places than there are, and the others cost no statement", async () => {
    let ends: string[] = [];
    let statements: string[] = [];
    const hashes = await hashesOf(async () => {
      statements = await statementsOf(async () => {
        ends = await endsOf(() => signInFrom(Array(FLOOD).fill(CROWD)), FLOOD - PLACES);
      });
    });
    expect(ends).to.deep.equal([...Array(FLOOD - PLACES).fill("OVERLOADED"), ...Array(PLACES).fill("")]);
    expect(hashes).to.have.length(PLACES);
    expect(statements).to.have.length(2 * PLACES);
  });

  it("one address leaves room for every other", async () => {
    const crowd = Array<string>(3 * PLACES).fill(CROWD);
    const others = Array.from({ length: PLACES / 3 }, (_, index) => `203.0.113.${index}`);
    let theirs: readonly Promise<string>[] = [];
    const calls = () => {
      const first = signInFrom(crowd);
      theirs = signInFrom(others);
      return [...first, ...theirs];
    };
    // Who gives way while the account is being read is told only when it has been.
    const ends = await endsOf(calls, crowd.length - PLACES);
    expect(await Promise.all(theirs)).to.deep.equal(others.map(() => ""));
    // The last places are kept from a crowd for others, who may all be there already.
    expect(ends.filter((end) => end === "").length).to.be.within(PLACES - availableParallelism(), PLACES);
  });

  it("the addresses of one IPv6 network of 64 bits are one", async () => {
    const crowd = Array.from({ length: 2 * PLACES }, (_, index) => `2001:db8:0:1:${index.toString(16)}::1`);
    let other: readonly Promise<string>[] = [];
    const calls = () => {
      const first = signInFrom(crowd);
      other = signInFrom(["2001:db8:0:2::1"]);
      return [...first, ...other];
    };
    await endsOf(calls, PLACES);
    expect(await Promise.all(other)).to.deep.equal([""]);
  });

  it("a change of password, which is two hashes, is seen through", async () => {
    const owner = await signUpConfirmed(service);
    const { options } = await signIn(service, owner);
    const headers = { ...options.headers, ...from("203.0.113.1").headers };
    const change = { currentPassword: PASSWORD, newPassword: "another horse battery" };
    let changed: Promise<string> = Promise.resolve("not called");
    const calls = () => {
      const crowd = signInFrom(Array(2 * PLACES).fill(CROWD));
      changed = refusalOf(service.auth.changePassword(change, { headers }));
      return [...crowd, changed];
    };
    await endsOf(calls, PLACES);
    expect(await changed).to.equal("");
  });

  it("streams that are reset at once are hashed for as little as can be, and harm nobody", async () => {
    const message = framed(
      toBinary(SignInRequestSchema, create(SignInRequestSchema, { login: newPerson().username, password: PASSWORD })),
    );
    const hashes = await hashesOf(async () => {
      for (let connection = 0; connection < 5; connection++) {
        const session = connect(service.grpcUrl);
        const closed = Array.from({ length: 100 }, () => {
          const stream = session.request({
            ":method": "POST",
            ":path": "/auth.v1.AuthService/SignIn",
            "content-type": "application/grpc",
            te: "trailers",
          });
          stream.on("error", () => {});
          const { promise, resolve } = Promise.withResolvers<void>();
          stream.on("close", resolve);
          stream.end(message);
          stream.on("finish", () => stream.close(8));
          return promise;
        });
        await Promise.all(closed);
        session.destroy();
      }
      expect(await refusalOf(service.auth.signIn({ login: person.username, password: PASSWORD }))).to.equal("");
    });
    expect(hashes).to.have.length.below(250);
  });
});
