import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Code } from "@connectrpc/connect";
import { expect } from "chai";
import { sharedKey } from "../src/auth/signing-key.ts";
import { createSecret } from "../src/secret.ts";
import { expectHarmless } from "./support/cases.ts";
import { forgedTokens } from "./support/forged-tokens.ts";
import { authorization, BAD_TOKEN, expectJson, postForm, postJson, send } from "./support/http.ts";
import { joinJws, SIGNERS } from "./support/jwt-signers.ts";
import { bearer, signIn, signUpConfirmed } from "./support/people.ts";
import { errorOf, statusOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";
import { allStatementsOf } from "./support/statements.ts";
import { passTime } from "./support/time.ts";
import { claimsOf } from "./support/tokens.ts";

const JWT_SECRET = createSecret("a secret for HS256, shared with a backend");
const GET_ME = "/auth.v1.AuthService/GetMe";
const INTROSPECT = "/auth.v1.TokenService/IntrospectToken";

const json = (value: object) => JSON.stringify(value);

/** Calls with a token over each transport, and checks that it is taken, or refused as every other. */
function waysWith(service: TestService) {
  const byGrpc = (token: string) => service.auth.getMe({}, bearer(token));
  const byConnect = (token: string) => postJson(service, GET_ME, {}, authorization(token));
  const byRest = (token: string) => send(service, "/auth/me", { headers: authorization(token) });
  return {
    ...{ byGrpc, byConnect, byRest },
    async expectTaken(token: string): Promise<void> {
      expect((await byGrpc(token)).session?.id).to.equal(claimsOf({ accessToken: token }).sid);
      expect((await byConnect(token)).status).to.equal(200);
      expect((await byRest(token)).status).to.equal(200);
    },
    async expectRefused(token: string, what: string): Promise<string> {
      const status = await statusOf(byGrpc(token));
      expect(status, what).to.equal(await statusOf(service.auth.getMe({})));
      const { text } = await postJson(service, GET_ME, {});
      expect(await byConnect(token), what).to.deep.include({ status: 401, text });
      expectJson(await byRest(token), 401, BAD_TOKEN);
      return `${status} ${text}`;
    },
  };
}

/** A signed-in person's claims, and the service's own key, which is more than any forger has. */
async function steal(service: TestService) {
  const claims = claimsOf(await signIn(service, await signUpConfirmed(service)));
  return { claims, key: service.app.signingKeys.current(), now: Math.floor(Date.now() / 1000) };
}

for (const jwtAlgorithm of ["ES256", "RS256", "PS256", "HS256"] as const) {
  describe(`a forged token of ${jwtAlgorithm}`, () => {
    const connections: unknown[] = [];
    let listener: Server;
    let service: TestService;
    let tokens: ReturnType<typeof forgedTokens>;
    before(async () => {
      const jwtSecret = jwtAlgorithm === "HS256" ? JWT_SECRET : null;
      service = await startService({ config: { jwtAlgorithm, jwtSecret } });
      listener = createServer().on("connection", (socket) => connections.push(socket));
      await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
      const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
      tokens = forgedTokens({ ...(await steal(service)), url });
    });
    after(async () => {
      listener.close();
      await service.stop();
    });

    it("is refused the same way over gRPC, Connect and REST, whatever is wrong with it, and nothing is fetched", async () => {
      const { expectRefused } = waysWith(service);
      const refuseAll = () =>
        Promise.all(Object.entries(tokens.forged).map(([what, token]) => expectRefused(token, what)));
      // Each is sent three times, and compared with two calls that have none.
      const recorded = { "token_refused INVALID_TOKEN": 5 * Object.keys(tokens.forged).length };
      await expectHarmless(service, { recorded }, refuseAll);
      expect(connections).to.be.empty;
    });

    it("is not active, whatever is wrong with it, and introspection says no more", async () => {
      const { options } = await issueKey(service, ["introspect"]);
      const client = tokenClient(service);
      const expectInactive = async ([what, token]: [string, string]) => {
        const { active, claims } = await client.introspectToken({ token }, options);
        expect([active, claims], what).to.deep.equal([false, undefined]);
        expect((await postJson(service, INTROSPECT, { token }, options.headers)).text, what).to.equal("{}");
        const { text } = await postForm(service, "/oauth2/introspect", { token }, options.headers);
        expect(text, what).to.equal('{"active":false}');
      };
      await Promise.all(Object.entries(tokens.forged).map(expectInactive));
      expect(connections).to.be.empty;
    });

    it("would have been taken without the forgery", async () => {
      const { expectTaken } = waysWith(service);
      for (const token of [tokens.fair, tokens.early]) await expectTaken(token);
    });
  });
}

describe("a token that is too long", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  it("is refused with all the headers, and the next call is answered", async () => {
    const { byGrpc, byConnect, byRest, expectTaken } = waysWith(service);
    const { accessToken } = await signIn(service, await signUpConfirmed(service));
    const long = `${accessToken}${"A".repeat(10_000)}`;
    for (const answer of [await byConnect(long), await byRest(long)]) expect(answer.status).to.equal(431);
    // A client that still writes when the answer comes may see no more of it than the connection's end.
    const huge = "A".repeat(1_000_000);
    for (const call of [byConnect(huge), byRest(huge)])
      expect(
        await call.then(
          ({ status }) => status,
          () => "closed",
        ),
      ).to.be.oneOf([431, "closed"]);
    for (const token of [long, huge]) {
      const { code } = await errorOf(byGrpc(token));
      expect(code).to.be.oneOf([Code.ResourceExhausted, Code.Internal, Code.Unavailable]);
    }
    await expectTaken(accessToken);
  });

  it("is refused with the message that asks about it, and the next one is answered", async () => {
    const { options } = await issueKey(service, ["introspect"]);
    const token = "A".repeat(1_000_000);
    const client = tokenClient(service);
    const { code } = await errorOf(client.introspectToken({ token }, options));
    expect(code).to.equal(Code.ResourceExhausted);
    expect((await postJson(service, INTROSPECT, { token }, options.headers)).body.code).to.equal("resource_exhausted");
    expect((await postForm(service, "/oauth2/introspect", { token }, options.headers)).status).to.equal(413);
    const { claims, key } = await steal(service);
    const header = { alg: key.alg, typ: "at+jwt", kid: "k".repeat(10_000) };
    const named = { token: joinJws(json(header), json(claims), SIGNERS.ES256(key.privateKey)) };
    expect((await client.introspectToken(named, options)).active).to.equal(false);
    expect((await postJson(service, INTROSPECT, named, options.headers)).text).to.equal("{}");
    expect((await postForm(service, "/oauth2/introspect", named, options.headers)).text).to.equal('{"active":false}');
  });
});

describe("JWT_SECRET", () => {
  it("makes tokens good for as long as it is set, under its own name and algorithm only", async () => {
    const plain = await startService();
    const { database, clock, mails } = plain;
    const sharing = await startService({ database, clock, mails, config: { jwtSecret: JWT_SECRET } });
    const { claims, key } = await steal(plain);
    const byHeader = (header: object, sign: (input: string) => string) =>
      joinJws(json({ typ: "at+jwt", ...header }), json(claims), sign);
    const bySecret = SIGNERS.HS256(sharedKey(JWT_SECRET).privateKey);
    const byKey = SIGNERS.ES256(key.privateKey);
    const good = byHeader({ alg: "HS256", kid: "hs256" }, bySecret);
    await waysWith(sharing).expectTaken(good);
    await waysWith(plain).expectRefused(good, "without the setting");
    const forged = {
      "the secret under the key's name": byHeader({ alg: "HS256", kid: key.kid }, bySecret),
      "the secret, and the key's algorithm": byHeader({ alg: "ES256", kid: "hs256" }, bySecret),
      "the secret, and both of the key": byHeader({ alg: "ES256", kid: key.kid }, bySecret),
      "the key under the secret's name": byHeader({ alg: "ES256", kid: "hs256" }, byKey),
      "the key, and both of the secret": byHeader({ alg: "HS256", kid: "hs256" }, byKey),
    };
    for (const [what, token] of Object.entries(forged)) await waysWith(sharing).expectRefused(token, what);
    await sharing.stop();
    await plain.stop();
  });
});

describe("a key that tokens name", () => {
  it("opens them until its overlap ends, and from then on none, over gRPC, Connect and REST", async () => {
    const HOUR = 3_600_000;
    const service = await startService({ config: { accessTokenTtl: HOUR } });
    const { expectTaken, expectRefused } = waysWith(service);
    const person = await signUpConfirmed(service);
    await service.app.signingKeys.rotate({ atOnce: false });
    await passTime(service, 9 * 60_000);
    await service.app.signingKeys.reread();
    const { accessToken } = await signIn(service, person);
    // Good for longer than any that the service makes, so that only the key can be what ends it.
    const key = service.app.signingKeys.current();
    const later = { ...claimsOf({ accessToken }), exp: claimsOf({ accessToken }).exp + HOUR };
    const header = { alg: key.alg, typ: "at+jwt", kid: key.kid };
    const lasting = joinJws(json(header), json(later), SIGNERS.ES256(key.privateKey));
    await passTime(service, HOUR - 60_000);
    await service.app.signingKeys.reread();
    expect(service.app.signingKeys.current().kid).not.to.equal(key.kid);
    for (const token of [accessToken, lasting]) await expectTaken(token);
    await passTime(service, 3 * 60_000);
    await service.app.signingKeys.reread();
    for (const token of [accessToken, lasting]) await expectRefused(token, "after the overlap");
    await expectTaken((await signIn(service, person)).accessToken);
    await service.stop();
  });

  it("and that is not known has the keys read again, at most ten times a second for all tokens together", async () => {
    const service = await startService();
    const { claims, key } = await steal(service);
    const sign = SIGNERS.ES256(key.privateKey);
    const unknown = (kid: number, changes: object) =>
      joinJws(json({ alg: "ES256", typ: "at+jwt", kid: `k${kid}` }), json({ ...claims, ...changes }), sign);
    /** How often the keys were read, and how many seconds it took, while tokens with unknown names came. */
    const readsFor = async (count: number, changes: object) => {
      const begun = performance.now();
      const statements = await allStatementsOf(async () => {
        const calls = Array.from({ length: count }, (_, kid) =>
          errorOf(service.auth.getMe({}, bearer(unknown(kid, changes)))),
        );
        for (const { code } of await Promise.all(calls)) expect(code).to.equal(Code.Unauthenticated);
      });
      const reads = statements.filter((text) => /FROM "?keys/.test(text)).length;
      return { reads, seconds: (performance.now() - begun) / 1000 };
    };
    // One reading a second is the service's own, whatever tokens come.
    const ours = await readsFor(300, {});
    expect(ours.reads).to.be.within(1, 2 + Math.ceil(11 * ours.seconds));
    for (const changes of [{ iss: "https://elsewhere.example" }, { aud: "another" }, { exp: claims.iat - 1 }]) {
      const theirs = await readsFor(300, { iat: claims.iat - 9, ...changes });
      expect(theirs.reads, json(changes)).to.be.at.most(1 + Math.ceil(theirs.seconds));
    }
    await service.stop();
  });
});
