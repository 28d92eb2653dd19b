import { expect } from "chai";
import { calculateJwkThumbprint, type JWK } from "jose";
import { createSecret } from "../src/secret.ts";
import { type HttpAnswer, send } from "./support/http.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";

const JWKS = "/.well-known/jwks.json";
const METADATA = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
const PUBLIC_URL = "http://localhost:8080";

/** What a reader needs to know of an answer that may be kept by anybody for five minutes. */
function expectPublished({ status, headers }: HttpAnswer): void {
  expect(status).to.equal(200);
  expect(headers.get("content-type")).to.equal("application/json");
  expect(headers.get("cache-control")).to.equal("public, max-age=300");
  expect(headers.get("access-control-allow-origin")).to.equal("*");
  expect(headers.get("set-cookie")).to.equal(null);
}

const keysOf = ({ body }: HttpAnswer) => body.keys as JWK[];

describe("the JWK Set", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  it("holds the public half of each key and nothing else", async () => {
    const answer = await send(service, JWKS);
    expectPublished(answer);
    expect(Object.keys(answer.body)).to.deep.equal(["keys"]);
    const [jwk] = keysOf(answer);
    if (!jwk) throw new Error("there is no key");
    expect(jwk).to.have.all.keys("kid", "kty", "alg", "use", "crv", "x", "y");
    expect(jwk).to.include({ kty: "EC", alg: "ES256", use: "sig", crv: "P-256" });
    expect(jwk.kid).to.equal(await calculateJwkThumbprint(jwk));
  });

  for (const jwtAlgorithm of ["RS256", "PS256"] as const) {
    it(`holds an RSA key of 2048 bits for ${jwtAlgorithm}, which names it`, async () => {
      const other = await startService({ config: { jwtAlgorithm } });
      const [jwk, ...more] = keysOf(await send(other, JWKS));
      await other.stop();
      expect(more).to.deep.equal([]);
      expect(jwk).to.have.all.keys("kid", "kty", "alg", "use", "n", "e");
      expect(jwk).to.include({ kty: "RSA", alg: jwtAlgorithm, use: "sig", e: "AQAB" });
      expect(Buffer.from(jwk?.n ?? "", "base64url")).to.have.length(256);
    });
  }

  it("does not hold the shared secret of HS256", async () => {
    const jwtSecret = createSecret("a secret for HS256, shared with a backend");
    const other = await startService({ config: { jwtAlgorithm: "HS256", jwtSecret } });
    const answer = await send(other, JWKS);
    await other.stop();
    expect(answer.body).to.deep.equal({ keys: [] });
  });

  it("is what ListSigningKeys tells, which asks nobody for credentials", async () => {
    const { keys } = await tokenClient(service).listSigningKeys({});
    const told = keys.map(({ kid, kty, alg, use, crv, x, y }) => ({ kid, kty, alg, use, crv, x, y }));
    expect(keysOf(await send(service, JWKS))).to.deep.equal(told);
  });

  it("is answered to HEAD without the set, and whatever type is asked for", async () => {
    const { headers } = await send(service, JWKS);
    const head = await send(service, JWKS, { method: "HEAD" });
    expectPublished(head);
    expect(head.text).to.equal("");
    expect(head.headers.get("content-length")).to.equal(headers.get("content-length"));
    for (const accept of ["application/jwk-set+json", "text/html", "image/png"])
      expectPublished(await send(service, JWKS, { headers: { accept } }));
  });

  it("can be read by the pages of every origin, listed or not", async () => {
    const listing = await startService({
      database: service.database,
      config: { corsOrigins: ["https://app.example"] },
    });
    for (const one of [service, listing])
      for (const origin of ["https://app.example", "https://other.example", "null"])
        for (const path of [JWKS, ...METADATA]) expectPublished(await send(one, path, { headers: { origin } }));
    await listing.stop();
  });

  it("is told to nobody by another method", async () => {
    for (const path of [JWKS, ...METADATA]) {
      const { status, headers } = await send(service, path, { method: "POST" });
      expect([status, headers.get("allow")], path).to.deep.equal([405, "GET, HEAD"]);
    }
  });

  it("is refused to a service whose key is not good", async () => {
    const { key } = await issueKey(service, ["watch"]);
    expectPublished(await send(service, JWKS, { headers: { "x-latchkey-key": key } }));
    const refusal = await send(service, JWKS, { headers: { "x-latchkey-key": `${key}x` } });
    expect([refusal.status, refusal.headers.get("cache-control")]).to.deep.equal([401, "no-store"]);
  });

  it("tells a new key for longer before it is used than a cache may keep the old set", async () => {
    await service.app.signingKeys.rotate({ atOnce: false });
    const told = await send(service, JWKS);
    const [, next] = service.app.signingKeys.list();
    expect(keysOf(told).map(({ kid }) => kid)).to.include(next?.kid);
    const leadMs = (next?.activeFrom ?? 0) - Date.now();
    const [, maxAge] = /max-age=(\d+)/.exec(told.headers.get("cache-control") ?? "") ?? [];
    // Two caches, one behind the other, with time to spare.
    expect(leadMs).to.be.above(2 * Number(maxAge) * 1000 - 5_000);
  });
});

describe("the metadata", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  it("tells where what is, under both of its names, and claims no more", async () => {
    for (const path of METADATA) {
      const answer = await send(service, path);
      expectPublished(answer);
      expect(answer.body, path).to.deep.equal({
        issuer: PUBLIC_URL,
        jwks_uri: `${PUBLIC_URL}/.well-known/jwks.json`,
        response_types_supported: [],
        grant_types_supported: [],
        introspection_endpoint: `${PUBLIC_URL}/oauth2/introspect`,
        introspection_endpoint_auth_methods_supported: ["client_secret_basic", "Bearer"],
        revocation_endpoint: `${PUBLIC_URL}/oauth2/revoke`,
        revocation_endpoint_auth_methods_supported: ["none", "client_secret_basic"],
      });
      const head = await send(service, path, { method: "HEAD" });
      expectPublished(head);
      expect(head.text).to.equal("");
      expect((await send(service, `${path}/another`)).status).to.equal(404);
    }
  });

  it("of an issuer with a path is found by that path, and beside the service", async () => {
    const publicUrl = "https://example.com/auth";
    for (const [jwtIssuer, path] of [
      [publicUrl, "/auth"],
      ["https://example.com/tenants/one/", "/tenants/one"],
    ] as const) {
      const other = await startService({ database: service.database, config: { publicUrl, jwtIssuer } });
      for (const name of METADATA) {
        const beside = await send(other, name);
        expect(beside.body).to.include({ issuer: jwtIssuer, jwks_uri: `${publicUrl}/.well-known/jwks.json` });
        expect((await send(other, `${name}${path}`)).text).to.equal(beside.text);
      }
      await other.stop();
    }
  });

  it("tells an issuer that is no URL as tokens have it", async () => {
    for (const jwtIssuer of ["our sign-in", "urn:example:sign-in"]) {
      const other = await startService({ database: service.database, config: { jwtIssuer } });
      expect((await send(other, "/.well-known/openid-configuration")).body).to.include({ issuer: jwtIssuer });
      await other.stop();
    }
  });
});
