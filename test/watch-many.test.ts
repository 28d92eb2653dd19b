import { type ClientHttp2Session, connect } from "node:http2";
import { expect } from "chai";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { skipMonotonic } from "./support/time.ts";
import { waitUntil } from "./support/wait.ts";
import { countTold, type RawWatch, UUID, watchOverGrpc, watchOverHttp } from "./support/watch-raw.ts";
import { revoke, untilPolled } from "./support/watching.ts";

describe("those who watch revocations", () => {
  let service: TestService;
  let headers: Record<string, string>;
  const cleanUps: (() => void)[] = [];
  before(async () => {
    service = await startService();
    ({ headers } = (await issueKey(service, ["watch"])).options);
  });
  afterEach(() => {
    for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
  });
  after(() => service.stop());

  function openSession(): ClientHttp2Session {
    const session = connect(service.grpcUrl).on("error", () => {});
    cleanUps.push(() => session.destroy());
    return session;
  }

  async function watchOverHttp1(contentType: string): Promise<RawWatch> {
    const watch = await watchOverHttp(service.httpUrl, contentType, headers);
    cleanUps.push(watch.close);
    return watch;
  }

  async function letTimePass(ms: number): Promise<void> {
    cleanUps.push(skipMonotonic(ms));
    await untilPolled(service);
  }

  it("are told at once, all thousand of them", async () => {
    const sessions = Array.from({ length: 10 }, openSession);
    const opening = sessions.flatMap((session) => Array.from({ length: 100 }, () => watchOverGrpc(session, headers)));
    const told = new Map<string, number>();
    for (const { body } of await Promise.all(opening))
      body.on("data", (chunk: Buffer) => {
        for (const [id] of chunk.toString("latin1").matchAll(UUID)) told.set(id, (told.get(id) ?? 0) + 1);
      });
    for (let round = 0; round < 3; round++) {
      const [id = ""] = await revoke(service);
      await waitUntil(() => told.get(id) === 1_000);
    }
  });

  it("and do not read are cut off with a status that says so, while others are told everything", async () => {
    const told = countTold(await watchOverGrpc(openSession(), headers));
    const grpc = await watchOverGrpc(openSession(), headers);
    const connect = await watchOverHttp1("application/connect+proto");
    const web = await watchOverHttp1("application/grpc-web+proto");
    // More than the buffers of the kernel take.
    for (let batch = 1; batch <= 50; batch++) {
      await revoke(service, 2_000);
      await waitUntil(() => told() >= batch * 2_000, 50_000);
    }
    // In two steps, each shorter than what makes the memory stale.
    await letTimePass(6_000);
    await letTimePass(6_000);
    const [overGrpc, overConnect, overWeb] = await Promise.all([grpc, connect, web].map((watch) => watch.readToEnd()));
    expect(overGrpc?.end).to.include('"grpc-status":"8"');
    expect(overConnect?.end).to.include("resource_exhausted");
    expect(overWeb?.end).to.include("grpc-status: 8");
    expect(overGrpc?.bytes).to.be.below(500_000);
    for (const cut of [overConnect, overWeb]) expect(cut?.bytes).to.be.below(100_000 * 52);
    await revoke(service);
    await waitUntil(() => told() > 100_000);
  });
});
