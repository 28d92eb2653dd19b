import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { hashesOf } from "./support/hashes.ts";
import { postJson } from "./support/http.ts";
import { fail, from, limited, WRONG, wrongs } from "./support/limits.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { errorOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { startDatabaseProxy } from "./support/tcp-proxy.ts";
import { waitUntil } from "./support/wait.ts";
import { type Refused, waysIn } from "./support/ways-in.ts";

describe("what limits are counted in", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  const keysOf = async ({ database }: TestService) =>
    (await database.query<{ key: string }>("SELECT key FROM throttle ORDER BY key")).map(({ key }) => key);

  it("names nobody, and tells nothing to who tries names without the service's keys", async () => {
    const person = await signUpConfirmed(service);
    for (const login of [person.username, person.email]) await fail(service, login, 1, from("203.0.113.40"));
    const keys = await keysOf(service);
    for (const name of [person.username, person.email, "203.0.113.40"])
      expect(keys.filter((key) => key.includes(name))).to.deep.equal([]);
    expect(keys).to.have.length.above(4);
    for (const key of keys) expect(key).to.match(/^(account|address|recipient)-[a-z-]+:[\w-]{43}$/);
    const other = await startService({ config: limited() });
    for (const login of [person.username, person.email]) await fail(other, login, 1, from("203.0.113.40"));
    expect((await keysOf(other)).filter((key) => keys.includes(key))).to.deep.equal([]);
    await other.stop();
  });

  it("is found by its primary key, however many there are", async () => {
    const unconfirmed = newPerson();
    await service.auth.signUp(unconfirmed);
    const call = () =>
      refusalOf(service.auth.signIn({ login: unconfirmed.username, password: PASSWORD }, from("1.1.1.1")));
    const [count = "", , giveBack = ""] = await statementsOf(call);
    await service.database.query(
      `INSERT INTO throttle SELECT 'account-failures:' || n, ARRAY[now()], now() + interval '1 h' FROM generate_series(1, 20000) n`,
    );
    await service.database.query("ANALYZE throttle");
    const keys = ["account-failures:7", "address-failures:8"];
    const limits = JSON.stringify(
      keys.map((key) => ({ key, most: 20, perMs: 900_000, free: 5, firstMs: 1, longestMs: 9 })),
    );
    for (const [sql, values] of [
      [count, [keys, limits, null, ""]],
      [giveBack, [keys, "now"]],
    ] as const) {
      const rows = await service.database.query<{ "QUERY PLAN": string }>(`EXPLAIN ${sql}`, ...values);
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      expect(plan)
        .to.include("throttle_pkey")
        .and.not.match(/Seq Scan on throttle/);
    }
  });

  it("is not touched by a call that is refused", async () => {
    const login = newPerson().username;
    await fail(service, login, 5);
    const rows = () => service.database.query("SELECT key, xmin, ctid, xmax FROM throttle ORDER BY key");
    const before = await rows();
    expect(await fail(service, login, 3, from("203.0.113.41"))).to.deep.equal(Array(3).fill("RATE_LIMITED"));
    expect(await rows()).to.deep.equal(before);
  });

  it("is away with the database: all is refused as UNAVAILABLE, nothing hashed, and all is counted as before after", async () => {
    const database = await createTestDatabase();
    const { proxy, url } = await startDatabaseProxy(database.connection);
    const far = await startService({ database: { ...database, url }, config: limited({ FAILURE_DELAY: "60s" }) });
    const person = await signUpConfirmed(far);
    await fail(far, person.username, 5);
    await proxy.stop();
    const hashes = await hashesOf(async () => {
      expect(await fail(far, person.username, 3)).to.deep.equal(Array(3).fill("UNAVAILABLE"));
      expect(await refusalOf(signIn(far, person))).to.equal("UNAVAILABLE");
      expect(await refusalOf(far.auth.signUp(newPerson()))).to.equal("UNAVAILABLE");
      expect(await refusalOf(far.auth.requestPasswordReset({ email: person.email }))).to.equal("UNAVAILABLE");
    });
    expect(hashes).to.deep.equal([]);
    const back = await startDatabaseProxy(database.connection, proxy.port);
    await waitUntil(async () => (await fetch(`${far.httpUrl}/readyz`)).status === 200);
    expect(await refusalOf(signIn(far, person))).to.equal("RATE_LIMITED");
    expect(await refusalOf(far.auth.signIn({ login: person.email, password: PASSWORD }))).to.equal("");
    await far.stop();
    await back.proxy.stop();
    await database.drop();
  });
});

describe("a call over its limits", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited({ FAILURE_DELAY: "60s" }) });
  });
  after(() => service.stop());

  const ROUTES = ["/sign-in", "/auth/login", "/api/auth/login"];
  // Of the time to wait only: RetryInfo, Retry-After and what gRPC clients read in their place.
  const DELAYS = ["date", "retry-after", "grpc-retry-pushback-ms", "grpc-status-details-bin"];
  const othersOf = (headers: Headers) => [...headers].filter(([name]) => !DELAYS.includes(name));

  /** All that a caller is told, but for the time to wait, which must be there. */
  async function toldOverAll(login: string): Promise<string[]> {
    const told: unknown[] = [];
    for (const { call } of Object.values(waysIn(service))) {
      const { refused } = (await call(AuthService.method.signIn, { login, password: WRONG })) as { refused: Refused };
      const { value } = refused.details.at(-1) as { value: { retryDelay: string } };
      expect(Number.parseFloat(value.retryDelay)).to.be.within(30, 60);
      told.push({ ...refused, details: refused.details.slice(0, -1) });
    }
    const { code, rawMessage, metadata } = await errorOf(service.auth.signIn({ login, password: WRONG }));
    told.push({ code, rawMessage, others: othersOf(metadata) });
    for (const route of ROUTES) {
      const { status, headers, text } = await postJson(service, route, { login, password: PASSWORD });
      expect(Number(headers.get("retry-after"))).to.be.within(30, 60);
      told.push({ status, text, others: othersOf(headers) });
    }
    return told.map((one) => JSON.stringify(one));
  }

  it("is refused by every protocol and route, alike for known and unknown accounts but for the time to wait", async () => {
    const { username, email } = await signUpConfirmed(service);
    const seen: string[][] = [];
    for (const login of [username, email, newPerson().username, newPerson().email]) {
      expect(await fail(service, login, 5)).to.deep.equal(wrongs(5));
      seen.push(await toldOverAll(login));
    }
    const [first = [], ...others] = seen;
    for (const other of others) expect(other).to.deep.equal(first);
    expect(new Set(first.slice(0, 5)).size).to.equal(1);
    expect(first[0]).to.include('"code":"ResourceExhausted","message":"Too many attempts, try again later"');
    expect(first[0]).to.include('"reason":"RATE_LIMITED"');
    const body = { detail: "Too many attempts, try again later", code: "RATE_LIMITED" };
    for (const rest of first.slice(6)) expect(JSON.parse(rest)).to.include({ status: 429, text: JSON.stringify(body) });
  });

  it("costs the same statements and no hash for known and unknown accounts", async () => {
    const { username } = await signUpConfirmed(service);
    const works: string[][] = [];
    for (const login of [username, newPerson().username]) {
      await fail(service, login, 5);
      const hashes = await hashesOf(async () => void works.push(await statementsOf(() => fail(service, login))));
      expect(hashes).to.deep.equal([]);
    }
    expect(works[0]).to.have.length(1).and.deep.equal(works[1]);
  });
});
