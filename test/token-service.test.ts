import { expect } from "chai";
import { type Pair, startPair } from "./support/pair.ts";
import { refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import type { TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";
import { passTime } from "./support/time.ts";
import { claimsOf } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

describe("TokenService", () => {
  let pair: Pair;
  let first: TestService;
  let second: TestService;
  before(async () => {
    pair = await startPair();
    ({ first, second } = pair);
  });
  after(() => pair.stop());

  it("tells what a good access token says, and of any other only that it is not active", async () => {
    const { options } = await issueKey(first, ["introspect"]);
    const person = await signUpConfirmed(first);
    const tokens = await signIn(first, person);
    const introspect = (token: string) => tokenClient(second).introspectToken({ token }, options);
    const { active, claims } = await introspect(tokens.accessToken);
    const said = claimsOf(tokens);
    expect(active).to.equal(true);
    expect(claims).to.deep.include({
      ...{ issuer: said.iss, audience: said.aud, userId: person.id, sessionId: said.sid, tokenId: said.jti },
      ...{ username: person.username, roles: [] },
    });
    expect(claims?.issueTime?.seconds).to.equal(BigInt(said.iat));
    expect(claims?.expireTime?.seconds).to.equal(BigInt(said.exp));
    await first.auth.signOut({ refreshToken: tokens.refreshToken });
    await waitUntil(async () => !(await introspect(tokens.accessToken)).active);
    for (const token of [
      tokens.accessToken,
      tokens.refreshToken,
      "",
      "x".repeat(50_000),
      options.headers.authorization ?? "",
    ]) {
      const answer = await introspect(token);
      expect([answer.active, answer.claims]).to.deep.equal([false, undefined]);
    }
  });

  it("asks for a service key with the scope, and takes it in each form", async () => {
    const { id, key } = await issueKey(first, ["introspect"]);
    const watcher = await issueKey(first, ["watch", "gateway"]);
    const person = await signIn(first, await signUpConfirmed(first));
    const basic = (user: string, password: string) =>
      ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` }) as const;
    const introspect = (headers: Record<string, string>) =>
      refusalOf(tokenClient(first).introspectToken({ token: person.accessToken }, { headers }));
    const good = [
      { authorization: `Bearer ${key}` },
      { authorization: `bearer ${key}` },
      { "x-latchkey-key": key },
      { authorization: `Bearer ${person.accessToken}`, "x-latchkey-key": key },
      basic(id, key),
      basic(id, key.slice(-43)),
    ];
    for (const headers of good) expect(await introspect(headers), JSON.stringify(headers)).to.equal("");
    const bad = [
      {},
      { authorization: `Bearer ${person.accessToken}` },
      { authorization: `Bearer ${key}x` },
      { authorization: `Bearer ${key.slice(0, -1)}${key.endsWith("A") ? "B" : "A"}` },
      { authorization: `Bearer lk_${id}_` },
      { "x-latchkey-key": "nonsense" },
      basic("someone", key.slice(-43)),
      basic(id, ""),
    ];
    for (const headers of bad) expect(await introspect(headers), JSON.stringify(headers)).to.equal("INVALID_TOKEN");
    expect(await introspect(watcher.options.headers)).to.equal("PERMISSION_DENIED");
  });

  it("takes no key that was revoked or has expired, in any process", async () => {
    const revoked = await issueKey(first, ["introspect"]);
    const expiring = await issueKey(first, ["introspect"], new Date(Date.now() + 3_600_000));
    const refusal = (service: TestService, { options }: { options: { headers: Record<string, string> } }) =>
      refusalOf(tokenClient(service).introspectToken({ token: "" }, options));
    // Made by the other process: read when it is presented.
    for (const key of [revoked, expiring]) expect(await refusal(second, key)).to.equal("");
    const admin = await signInAdmin(first);
    expect((await first.admin.revokeServiceKey({ serviceKeyId: revoked.id }, admin.options)).revoked).to.equal(true);
    expect((await first.admin.revokeServiceKey({ serviceKeyId: revoked.id }, admin.options)).revoked).to.equal(false);
    expect(await refusal(first, revoked)).to.equal("INVALID_TOKEN");
    await waitUntil(async () => (await refusal(second, revoked)) === "INVALID_TOKEN");
    await passTime(first, 3_600_000);
    for (const service of [first, second])
      await waitUntil(async () => (await refusal(service, expiring)) === "INVALID_TOKEN");
  });

  it("opens AdminService to a key with the scope admin, and writes down when it was used", async () => {
    const { id, options } = await issueKey(first, ["admin"]);
    const other = await issueKey(first, ["introspect"]);
    expect(await refusalOf(first.admin.listUsers({}, other.options))).to.equal("PERMISSION_DENIED");
    const { serviceKeys } = await first.admin.listServiceKeys({}, options);
    expect(serviceKeys.map((key) => key.id)).to.include(id);
    const [row] = await first.database.query<{ hashes: number }>(
      "SELECT count(*)::int AS hashes FROM service_keys WHERE length(secret_hash) = 32",
    );
    expect(row?.hashes).to.equal(serviceKeys.length);
  });
});
