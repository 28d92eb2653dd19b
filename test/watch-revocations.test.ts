import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { reasonOf } from "../src/wire/error-details.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { startProcess } from "./support/process.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { passTime, skipMonotonic } from "./support/time.ts";
import { claimsOf } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";
import { revoke, startWatching, tokenClients, untilPolled, type Watching } from "./support/watching.ts";

type Options = Awaited<ReturnType<typeof issueKey>>["options"];

/** Watches a service by each protocol. */
function watchAll(service: TestService, options: Options, from = ""): Watching[] {
  return Object.values(tokenClients(service)).map((client) => startWatching(client, options, from));
}

/** Watches a service over gRPC. */
function watch(service: TestService, options: Options, from = ""): Watching {
  const { gRPC } = tokenClients(service);
  if (!gRPC) throw new Error("no client");
  return startWatching(gRPC, options, from);
}

const refusal = async ({ ended }: Watching) => reasonOf(ConnectError.from(await ended));

describe("who watches revocations", () => {
  let pair: Pair;
  let first: TestService;
  let second: TestService;
  let options: Options;
  before(async () => {
    pair = await startPair();
    ({ first, second } = pair);
    ({ options } = await issueKey(first, ["watch"]));
  });
  after(() => pair.stop());

  async function stopped(watchers: readonly Watching[]): Promise<void> {
    for (const watcher of watchers) await watcher.stop();
  }

  it("is told what is in force, that this is all, and each revocation as it comes, once, in every process", async () => {
    const person = await signUpConfirmed(first);
    const [before, during] = [await signIn(first, person), await signIn(first, person)];
    await first.auth.signOut({ refreshToken: before.refreshToken });
    const elsewhere = watch(second, options);
    await elsewhere.told(claimsOf(before).sid);
    const watchers = [...watchAll(first, options), ...watchAll(second, options)];
    for (const watcher of watchers) {
      await watcher.inSync();
      expect(watcher.messages.filter(({ inSync }) => inSync)).to.have.length(1);
      expect(watcher.sessions()).to.include(claimsOf(before).sid);
    }
    await first.auth.signOut({ refreshToken: during.refreshToken });
    const { sid } = claimsOf(during);
    for (const watcher of watchers) await watcher.told(sid);
    const [last] = await revoke(first);
    for (const watcher of watchers) {
      await watcher.told(last ?? "");
      expect(watcher.sessions().filter((id) => id === sid)).to.have.length(1);
      const named = watcher.messages.find(({ sessionId }) => sessionId === sid);
      expect(Number(named?.expireTime?.seconds)).to.be.closeTo(claimsOf(during).exp + 30, 1);
    }
    await stopped([elsewhere, ...watchers]);
  });

  it("goes on at any process from the last cursor, and is told everything again for one that is not of here", async () => {
    const begun = watch(second, options);
    await begun.inSync();
    const [known = ""] = await revoke(first);
    await begun.told(known);
    await begun.stop();
    const missed = await revoke(first, 3);
    const cursor = begun.cursor();
    for (const service of [first, second]) {
      await watch(service, options).told(...missed);
      const resumed = watchAll(service, options, cursor);
      for (const watcher of resumed) {
        await watcher.inSync();
        expect(watcher.sessions()).to.have.members(missed);
      }
      await stopped(resumed);
      const strangers = ["", "nonsense", `1${cursor}`, cursor.replace(/\.\w{8}\./, ".0000FFFF."), "9".repeat(50_000)];
      const ahead = cursor.replace(/\d+:\d+:.*$/, "1:999999999999:");
      for (const foreign of [...strangers, ahead, `${cursor}x`, cursor.replace(/\d+:\d+:.*$/, "9:8:")]) {
        const anew = watch(service, options, foreign);
        await anew.inSync();
        expect(anew.sessions(), foreign).to.include.members([known, ...missed]);
        await anew.stop();
      }
    }
  });

  it("is sent away when the key is revoked, in every process, and when it expires", async () => {
    const revoked = await issueKey(first, ["watch"]);
    const expiring = await issueKey(first, ["watch"], new Date(Date.now() + 3_600_000));
    const watchers = [first, second].flatMap((service) => [
      watch(service, revoked.options),
      watch(service, expiring.options),
    ]);
    for (const watcher of watchers) await watcher.inSync();
    const kept = watch(second, options);
    const admin = await signInAdmin(first);
    await first.admin.revokeServiceKey({ serviceKeyId: revoked.id }, admin.options);
    expect(await Promise.all([watchers[0], watchers[2]].map((watcher) => watcher && refusal(watcher)))).to.deep.equal([
      "INVALID_TOKEN",
      "INVALID_TOKEN",
    ]);
    await passTime(first, 3_600_000);
    for (const watcher of watchers) expect(await refusal(watcher)).to.equal("INVALID_TOKEN");
    await kept.told(...(await revoke(first)));
    await kept.stop();
  });

  it("is sent elsewhere when the service stops, by every protocol, and goes on there", async () => {
    const stopping = await startProcess(first.database, { LOG_LEVEL: "info" });
    const ready = JSON.parse(stopping.lines.find((line) => line.includes('"ready"')) ?? "{}");
    const clients = tokenClients({ grpcUrl: `http://${ready.grpc}`, httpUrl: stopping.httpUrl });
    const watchers = Object.values(clients).map((client) => startWatching(client, options));
    for (const watcher of watchers) await watcher.inSync();
    expect(await stopping.stop("SIGTERM")).to.equal(0);
    for (const watcher of watchers) expect(await refusal(watcher)).to.equal("UNAVAILABLE");
    const missed = await revoke(first);
    for (const { cursor } of watchers) {
      const resumed = watch(second, options, cursor());
      await resumed.told(...missed);
      await resumed.stop();
    }
  });
});

describe("a watch of revocations", () => {
  let service: TestService;
  let options: Options;
  const setBack: (() => void)[] = [];
  before(async () => {
    service = await startService();
    ({ options } = await issueKey(service, ["watch"]));
  });
  afterEach(async () => {
    for (const restore of setBack.splice(0).reverse()) restore();
    await untilPolled(service);
  });
  after(() => service.stop());

  it("gives a sign of life within 15 s of silence, from which one can go on", async () => {
    const [earlier] = await revoke(service);
    const watchers = watchAll(service, options);
    for (const watcher of watchers) await watcher.told(earlier ?? "");
    for (const watcher of watchers) await watcher.inSync();
    const told = watchers.map(({ messages }) => messages.length);
    // In two steps, each shorter than what makes the memory stale.
    setBack.push(skipMonotonic(8_000));
    await untilPolled(service);
    expect(watchers.map(({ messages }) => messages.length)).to.deep.equal(told);
    setBack.push(skipMonotonic(7_000));
    for (const [index, { messages }] of watchers.entries()) {
      await waitUntil(() => messages.length > (told[index] ?? 0));
      const { sessionId, inSync, cursor } = messages.at(-1) ?? {};
      expect({ sessionId, inSync, hasCursor: cursor !== "" }).to.deep.equal({
        ...{ sessionId: "", inSync: false, hasCursor: true },
      });
    }
    for (const watcher of watchers) {
      const resumed = watch(service, options, watcher.cursor());
      await resumed.inSync();
      expect(resumed.sessions()).to.deep.equal([]);
      await resumed.stop();
      await watcher.stop();
    }
  });

  it("ends with UNAVAILABLE when the revocations could not be read for ten seconds, and can go on later", async () => {
    const watchers = watchAll(service, options);
    for (const watcher of watchers) await watcher.inSync();
    await service.database.query("ALTER TABLE revocations RENAME TO mislaid");
    await waitUntil(() => service.lines.some((line) => line.includes("revocations cannot be read")));
    setBack.push(skipMonotonic(11_000));
    for (const watcher of watchers) expect(await refusal(watcher)).to.equal("UNAVAILABLE");
    expect(await refusal(watch(service, options))).to.equal("UNAVAILABLE");
    await service.database.query("ALTER TABLE mislaid RENAME TO revocations");
    const missed = await revoke(service, 2);
    for (const { cursor } of watchers) {
      await waitUntil(async () => {
        const resumed = watch(service, options, cursor());
        await resumed.inSync().catch(() => {});
        await resumed.stop();
        return missed.every((id) => resumed.sessions().includes(id));
      });
    }
  });

  it("is refused to keys without the scope, and to people", async () => {
    const other = await issueKey(service, ["introspect"]);
    const person = await signIn(service, await signUpConfirmed(service));
    expect(await refusal(watch(service, other.options))).to.equal("PERMISSION_DENIED");
    for (const headers of [person.options.headers, {}]) {
      const error = ConnectError.from(await watch(service, { headers } as Options).ended);
      expect([error.code, reasonOf(error)]).to.deep.equal([Code.Unauthenticated, "INVALID_TOKEN"]);
    }
  });
});
