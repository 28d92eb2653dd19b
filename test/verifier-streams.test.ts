import { Code, ConnectError } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { createAuthority } from "./support/certificates.ts";
import { type FakeTokenService, makeKey, startFakeTokenService } from "./support/fake-token-service.ts";
import { type HeldTimers, holdTimers } from "./support/held-timers.ts";
import { startTcpProxy } from "./support/tcp-proxy.ts";
import { skipMonotonic } from "./support/time.ts";
import { secureOptions } from "./support/tls-clients.ts";
import { createVerifiers, outcomeOf } from "./support/verifiers.ts";
import { waitUntil } from "./support/wait.ts";

describe("a verifier's stream", () => {
  const verifiers = createVerifiers();
  const stops: (() => void | Promise<void>)[] = [];
  afterEach(async () => {
    verifiers.close();
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  async function startFake(options?: Parameters<typeof startFakeTokenService>[0]): Promise<FakeTokenService> {
    const service = await startFakeTokenService(options);
    stops.push(service.stop);
    return service;
  }
  function hold(): HeldTimers {
    const timers = holdTimers();
    stops.push(timers.release);
    return timers;
  }

  it("is opened once the service is there, if it comes later; until then nothing is known", async () => {
    const failures: unknown[] = [];
    const gone = await startFakeTokenService();
    const { token } = gone.mint();
    await gone.stop();
    const verifier = verifiers.at(gone.url, { onFailure: (error) => failures.push(error) });
    await waitUntil(() => failures.length >= 3);
    expect(verifier.isInSync()).to.equal(false);
    expect(await outcomeOf(verifier, token)).to.equal("VerifierAway");
    const service = await startFake({ port: gone.port });
    await verifier.ready();
    expect(await outcomeOf(verifier, service.mint().token)).to.equal("good");
  });

  it("goes on from its last cursor, and what was known counts meanwhile", async () => {
    const service = await startFake();
    const verifier = verifiers.at(service.url, { whenAway: "reject" });
    await verifier.ready();
    const [live, ended] = [service.mint(), service.mint()];
    service.revoke(ended.claims.sid, "later");
    await waitUntil(async () => (await verifier.verify(ended.token)) === null);
    service.answers.isInSync = false;
    service.drop();
    await waitUntil(() => service.calls.cursors.length === 2);
    expect(service.calls.cursors).to.deep.equal(["", "later"]);
    for (const [token, outcome] of [
      [live.token, "good"],
      [ended.token, "bad"],
    ] as const)
      expect(await outcomeOf(verifier, token)).to.equal(outcome);
    const back = skipMonotonic(5_000);
    expect(await outcomeOf(verifier, live.token)).to.equal("VerifierAway");
    expect(await outcomeOf(verifier, ended.token)).to.equal("bad");
    back();
  });

  it("is in sync only when the service has said so", async () => {
    const service = await startFake();
    service.answers.isInSync = false;
    const verifier = verifiers.at(service.url, { whenAway: "reject" });
    const { token, claims } = service.mint();
    await waitUntil(() => service.streams() === 1);
    service.revoke(claims.sid);
    await waitUntil(async () => (await outcomeOf(verifier, token)) === "bad");
    expect(verifier.isInSync()).to.equal(false);
    expect(await outcomeOf(verifier, service.mint().token)).to.equal("VerifierAway");
  });

  it("is opened ever more slowly where it is refused", async () => {
    const service = await startFake();
    service.answers.refusal = new ConnectError("Invalid or expired token", Code.Unauthenticated);
    const timers = hold();
    verifiers.at(service.url);
    const attempts = [];
    for (let elapsed = 0; elapsed < 60_000; elapsed += 50) {
      timers.advance(50);
      const before = service.calls.cursors.length;
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      if (service.calls.cursors.length > before) attempts.push(elapsed);
    }
    expect(service.calls.cursors.length).to.be.within(12, 35);
    expect(attempts.filter((elapsed) => elapsed > 10_000).length).to.be.at.most(25);
  });

  it("is away after 20 s of silence, and opened anew", async () => {
    const service = await startFake();
    const timers = hold();
    // Of the caller's own, without pings.
    const transport = createGrpcTransport({ baseUrl: service.url });
    const failures: unknown[] = [];
    const verifier = verifiers.at(transport, { awayAfterMs: 0, onFailure: (error) => failures.push(error) });
    await verifier.ready();
    const back = skipMonotonic(20_000);
    expect(verifier.isInSync()).to.equal(false);
    back();
    timers.advance(19_999);
    expect(service.streams()).to.equal(1);
    timers.advance(1);
    await waitUntil(() => failures.length === 1);
    expect(String(failures[0])).to.include("the service has said nothing for 20 s");
    expect(verifier.isInSync()).to.equal(false);
    timers.advance(1_000);
    await waitUntil(() => verifier.isInSync());
    expect(service.calls.cursors).to.deep.equal(["", "begun"]);
  });

  it("is opened over another connection when the first is lost without a word", async () => {
    const service = await startFake();
    const proxy = await startTcpProxy({ port: service.port });
    stops.push(proxy.stop);
    const timers = hold();
    const verifier = verifiers.at(`http://127.0.0.1:${proxy.port}`, { awayAfterMs: 0 });
    await verifier.ready();
    proxy.lose();
    timers.advance(10_000);
    timers.advance(5_000);
    await waitUntil(() => !verifier.isInSync());
    await waitUntil(() => {
      timers.advance(100);
      return verifier.isInSync();
    });
    const { token, claims } = service.mint();
    expect(await outcomeOf(verifier, token)).to.equal("good");
    service.revoke(claims.sid);
    await waitUntil(async () => (await verifier.verify(token)) === null);
  });

  it("may be refused while the service is started anew, again and again, and asked at any moment of that", async () => {
    const key = await makeKey();
    const startRefusing = async (port = 0) => {
      const service = await startFakeTokenService({ port, key });
      service.answers.refusal = new ConnectError("gone", Code.Unavailable);
      return service;
    };
    let service = await startRefusing();
    const verifier = verifiers.at(service.url);
    const { token } = service.mint();
    const askLater = async (turns: number) => {
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      return outcomeOf(verifier, token);
    };
    for (let start = 0; start < 50; start++) {
      await waitUntil(async () => (await outcomeOf(verifier, token)) === "good");
      const stopped = service.stop();
      const outcomes = await Promise.all([1, 2, 3, 4].map((turns) => askLater(turns + (start % 5))));
      for (const outcome of outcomes) expect(outcome).to.be.oneOf(["good", "VerifierAway"]);
      await stopped;
      service = await startRefusing(service.port);
    }
    await service.stop();
  });

  it("keeps nobody waiting for a service that hangs", async () => {
    const service = await startFake();
    service.answers.isInSync = false;
    service.answers.introspectToken = () => new Promise(() => {});
    const timers = hold();
    const verifier = verifiers.at(service.url);
    const outcome = outcomeOf(verifier, service.mint().token);
    await waitUntil(() => service.calls.introspectToken === 1);
    timers.advance(5_000);
    expect(await outcome).to.equal("VerifierAway");
  });

  it("ends when the verifier is closed, however often, and every check with it", async () => {
    const service = await startFake();
    service.answers.introspectToken = () => new Promise(() => {});
    const [verifier, waiting] = [verifiers.at(service.url), verifiers.at("http://127.0.0.1:1")];
    const ready = waiting.ready().catch((error: Error) => error.name);
    await verifier.ready();
    const { token } = service.mint();
    const back = skipMonotonic(30_000);
    const checked = outcomeOf(verifier, token);
    await waitUntil(() => service.calls.introspectToken === 1);
    back();
    for (const _ of [1, 2]) for (const each of [verifier, waiting]) each.close();
    expect([await checked, await ready]).to.deep.equal(["VerifierAway", "VerifierAway"]);
    expect(await outcomeOf(verifier, token)).to.equal("VerifierAway");
    await waitUntil(() => service.streams() === 0);
  });

  it("stops to be waited for when the caller's signal says so", async () => {
    const verifier = verifiers.at("http://127.0.0.1:1");
    const reason = new Error("enough");
    for (const signal of [AbortSignal.abort(reason), AbortSignal.any([AbortSignal.abort(reason)])])
      expect(await verifier.ready(signal).catch((error) => error)).to.equal(reason);
  });

  it("survives an onFailure that throws", async () => {
    const service = await startFake();
    const thrown: unknown[] = [];
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", (error) => thrown.push(error));
    stops.push(() => {
      process.removeAllListeners("uncaughtException");
      for (const listener of listeners) process.on("uncaughtException", listener);
    });
    const failure = new Error("the caller's own");
    const onFailure = () => {
      throw failure;
    };
    const verifier = verifiers.at(service.url, { onFailure });
    await verifier.ready();
    service.drop();
    await waitUntil(() => thrown.length === 1 && service.streams() === 1);
    expect(thrown).to.deep.equal([failure]);
  });

  it("goes over TLS, with a certificate of the caller's where the service asks for one", async () => {
    const authority = await createAuthority();
    const [own, pair] = [await authority.issue(), await authority.issue()];
    const service = await startFake({ tls: { ...pair, ca: authority.cert, requestCert: true } });
    const nodeOptions = secureOptions({ ca: authority.cert, own });
    const byTransport = verifiers.at(createGrpcTransport({ baseUrl: service.url, nodeOptions }));
    const byUrl = verifiers.at(service.url, { tls: nodeOptions });
    for (const verifier of [byTransport, byUrl]) {
      await verifier.ready();
      expect(await outcomeOf(verifier, service.mint().token)).to.equal("good");
    }
    const failures: unknown[] = [];
    verifiers.at(service.url, { onFailure: (error) => failures.push(error) });
    await waitUntil(() => failures.length >= 2);
    expect(String(failures[0])).to.match(/certificate/);
  });
});
