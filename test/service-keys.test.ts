import { createHash } from "node:crypto";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { expect } from "chai";
import { ServiceKeyScope } from "../gen/auth/v1/service_key_pb.ts";
import { postForm, postJson } from "./support/http.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { newPerson, refusalOf, signInAdmin } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import type { TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";
import { allStatementsOf, statementsOf } from "./support/statements.ts";
import { passTime } from "./support/time.ts";

const { ADMIN, GATEWAY, INTROSPECT, UNSPECIFIED, WATCH } = ServiceKeyScope;
const HOUR = 3_600_000;

type Options = Awaited<ReturnType<typeof issueKey>>["options"];

describe("a service key", () => {
  let pair: Pair;
  let service: TestService;
  let admin: Awaited<ReturnType<typeof signInAdmin>>;
  before(async () => {
    pair = await startPair();
    service = pair.first;
    admin = await signInAdmin(service);
  });
  after(() => pair.stop());

  const newName = () => newPerson().username;
  const create = (request: { name?: string; scopes?: ServiceKeyScope[]; expireTime?: Timestamp } = {}) =>
    service.admin.createServiceKey({ name: newName(), scopes: [INTROSPECT], ...request }, admin.options);
  const find = async (id: string, from = service) => {
    const { serviceKeys } = await from.admin.listServiceKeys({}, admin.options);
    return serviceKeys.find((key) => key.id === id);
  };
  const use = (options: Options, by = service) => tokenClient(by).introspectToken({ token: "x" }, options);
  const usedAt = async (id: string, from = service) => {
    const { lastUseTime } = (await find(id, from)) ?? {};
    return lastUseTime ? timestampMs(lastUseTime) - service.clock.offset : 0;
  };

  it("is told once, has the form that is promised, and is kept as a hash", async () => {
    const name = newName();
    const { key, serviceKey } = await create({ name, scopes: [WATCH, ADMIN, WATCH] });
    const id = serviceKey?.id ?? "";
    expect(key).to.match(new RegExp(`^lk_${id}_[A-Za-z0-9_-]{43}$`));
    expect(id).to.match(/^[A-Za-z0-9]{12}$/);
    const listed = await find(id);
    expect(listed).to.deep.equal(serviceKey);
    expect(listed).to.deep.include({ id, name, scopes: [WATCH, ADMIN] });
    expect([listed?.expireTime, listed?.revokeTime, listed?.lastUseTime]).to.deep.equal([
      undefined,
      undefined,
      undefined,
    ]);
    const [row] = await service.database.query<{ hash: Buffer }>(
      "SELECT secret_hash AS hash FROM service_keys WHERE id = $1",
      id,
    );
    expect(row?.hash.toString("hex")).to.equal(createHash("sha256").update(key).digest("hex"));
  });

  it("has no two of a name, be the other one revoked", async () => {
    const { name = "", id: serviceKeyId = "" } = (await create()).serviceKey ?? {};
    expect(await faultsOf(create({ name }))).to.deep.equal({ name: "MALFORMED" });
    await service.admin.revokeServiceKey({ serviceKeyId }, admin.options);
    expect(await faultsOf(create({ name }))).to.deep.equal({ name: "MALFORMED" });
    expect((await create({ name: name.toUpperCase() })).key).not.to.equal("");
    const twins = await Promise.allSettled([1, 2, 3, 4].map(() => create({ name: "twins" })));
    expect(twins.filter(({ status }) => status === "fulfilled")).to.have.length(1);
  });

  it("is not made when a field is at fault, and each is named", async () => {
    const past = timestampFromMs(Date.now() + service.clock.offset - 1000);
    const cases: [Parameters<typeof create>[0], Record<string, string>][] = [
      [{ name: "" }, { name: "REQUIRED" }],
      [{ name: "x".repeat(65) }, { name: "MALFORMED" }],
      [{ name: "billing service" }, { name: "MALFORMED" }],
      [{ name: "bílling\0" }, { name: "MALFORMED" }],
      [{ scopes: [] }, { scopes: "REQUIRED" }],
      [{ scopes: [UNSPECIFIED] }, { scopes: "MALFORMED" }],
      [{ scopes: [INTROSPECT, 99 as ServiceKeyScope] }, { scopes: "MALFORMED" }],
      [{ expireTime: past }, { expire_time: "OUT_OF_RANGE" }],
      [{ expireTime: { ...past, seconds: 2n ** 60n } }, { expire_time: "OUT_OF_RANGE" }],
      [
        { name: "?", scopes: [99 as ServiceKeyScope], expireTime: past },
        { name: "MALFORMED", scopes: "MALFORMED", expire_time: "OUT_OF_RANGE" },
      ],
    ];
    const count = async () => (await service.admin.listServiceKeys({}, admin.options)).serviceKeys.length;
    const before = await count();
    for (const [request, faults] of cases) expect(await faultsOf(create(request))).to.deep.equal(faults);
    expect(await count()).to.equal(before);
  });

  it("that was never made is not revoked, whatever is said for its id", async () => {
    for (const serviceKeyId of ["", "x", "AAAAAAAAAAAA", "AAAAAAAAAAA\0", "é".repeat(12), "' OR '1'='1"]) {
      const { revoked } = await service.admin.revokeServiceKey({ serviceKeyId }, admin.options);
      expect(revoked, serviceKeyId).to.equal(false);
    }
  });

  it("is good up to the moment that it ends, and then no more, over gRPC, Connect and HTTP", async () => {
    const expireTime = timestampFromMs(Date.now() + service.clock.offset + HOUR);
    const { key } = await create({ expireTime });
    const headers = { authorization: `Bearer ${key}` };
    const ask = async () => [
      await refusalOf(use({ headers })),
      (await postJson(service, "/auth.v1.TokenService/IntrospectToken", { token: "x" }, headers)).status,
      (await postForm(service, "/oauth2/introspect", { token: "x" }, headers)).status,
    ];
    await passTime(service, HOUR - 60_000);
    expect(await ask()).to.deep.equal(["", 200, 200]);
    await passTime(service, 60_000);
    expect(await ask()).to.deep.equal(["INVALID_TOKEN", 401, 401]);
  });

  it("tells when it was last used as soon as that is asked, without a write for each use", async () => {
    const { id, options } = await issueKey(service, ["introspect"]);
    await use(options);
    const begun = Date.now();
    const statements = await statementsOf(async () => {
      for (let count = 0; count < 50; count += 1) await use(options);
    });
    expect(statements.filter((text) => /UPDATE/.test(text))).to.deep.equal([]);
    expect(await usedAt(id)).to.be.within(begun - 1, Date.now());
    const [row] = await service.database.query<{ used: Date }>(
      "SELECT last_used_at AS used FROM service_keys WHERE id = $1",
      id,
    );
    expect(row?.used.getTime()).to.equal(await usedAt(id));
  });

  it("that was presented by somebody who does not know all of it was not used", async () => {
    const { id, key } = await issueKey(service, ["introspect"]);
    const headers = { authorization: `Bearer ${key.slice(0, -1)}${key.endsWith("A") ? "E" : "A"}` };
    expect(await refusalOf(use({ headers }))).to.equal("INVALID_TOKEN");
    expect(await usedAt(id)).to.equal(0);
  });

  it("keeps the latest use of all processes, and one that could not be written for the next time", async () => {
    const { first, second } = pair;
    const { id, options } = await issueKey(first, ["introspect"]);
    await use(options, second);
    const begun = Date.now();
    await use(options, first);
    await service.database.query("ALTER TABLE service_keys RENAME TO gone");
    expect(await refusalOf(first.admin.listServiceKeys({}, admin.options))).to.equal("INTERNAL");
    await service.database.query("ALTER TABLE gone RENAME TO service_keys");
    expect(await usedAt(id, first)).to.be.at.least(begun - 1);
    // The earlier use, which the other process writes now.
    expect(await usedAt(id, second)).to.be.at.least(begun - 1);
  });

  it("that nobody has made has the keys read again, at most ten times a second for all that come together", async () => {
    const begun = performance.now();
    const statements = await allStatementsOf(async () => {
      const calls = Array.from({ length: 300 }, (_, index) => {
        const key = `lk_${String(index).padStart(12, "x")}_${"A".repeat(43)}`;
        return refusalOf(use({ headers: { authorization: `Bearer ${key}` } }));
      });
      expect(new Set(await Promise.all(calls))).to.deep.equal(new Set(["INVALID_TOKEN"]));
    });
    const seconds = (performance.now() - begun) / 1000;
    const reads = statements.filter((text) => /FROM service_keys/.test(text)).length;
    // Each of two processes reads them once a second by itself.
    expect(reads).to.be.within(1, 4 + Math.ceil(12 * seconds));
  });

  it("is found in the list by its name, revoked ones too", async () => {
    const { serviceKeys } = await service.admin.listServiceKeys({}, admin.options);
    const names = serviceKeys.map(({ name }) => name);
    expect(names).to.deep.equal([...names].sort());
    expect(serviceKeys.some(({ revokeTime }) => revokeTime !== undefined)).to.equal(true);
    const { id } = await issueKey(service, ["gateway"]);
    expect((await find(id))?.scopes).to.deep.equal([GATEWAY]);
  });
});
