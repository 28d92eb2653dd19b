import { expect } from "chai";
import * as openid from "openid-client";
import { signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { claimsOf } from "./support/tokens.ts";

const ISSUER = "http://localhost:8080";

describe("openid-client", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  /** What the issuer's metadata say, to a client that authenticates in this way. */
  const discover = (clientId: string, authentication: openid.ClientAuth, algorithm: "oauth2" | "oidc" = "oauth2") =>
    openid.discovery(new URL(ISSUER), clientId, undefined, authentication, {
      algorithm,
      execute: [openid.allowInsecureRequests],
      [openid.customFetch]: (url, init) => fetch(url.replace(ISSUER, service.httpUrl), init as RequestInit),
    });
  const newSession = async () => signIn(service, await signUpConfirmed(service));

  for (const algorithm of ["oauth2", "oidc"] as const) {
    it(`finds what it needs by the rules of ${algorithm}`, async () => {
      const metadata = (await discover("anybody", openid.None(), algorithm)).serverMetadata();
      expect(metadata.supportsPKCE()).to.equal(false);
      expect(metadata).to.include({
        issuer: ISSUER,
        jwks_uri: `${ISSUER}/.well-known/jwks.json`,
        introspection_endpoint: `${ISSUER}/oauth2/introspect`,
        revocation_endpoint: `${ISSUER}/oauth2/revoke`,
      });
    });
  }

  it("introspects with a service key, all of it or what follows its id as the client's secret", async () => {
    const { id, key } = await issueKey(service, ["introspect"]);
    const tokens = await newSession();
    for (const secret of [key, key.slice(-43)]) {
      const client = await discover(id, openid.ClientSecretBasic(secret));
      const { active, ...said } = await openid.tokenIntrospection(client, tokens.accessToken);
      expect(active).to.equal(true);
      expect(said).to.deep.equal({ ...claimsOf(tokens), token_type: "Bearer" });
      for (const token of [tokens.refreshToken, key, "junk"]) {
        const hint = { token_type_hint: "refresh_token" };
        expect(await openid.tokenIntrospection(client, token, hint)).to.deep.equal({ active: false });
      }
    }
  });

  it("is told in its own words why it may not introspect", async () => {
    const { accessToken } = await newSession();
    const watcher = await issueKey(service, ["watch"]);
    const refused = async (id: string, authentication: openid.ClientAuth) =>
      openid.tokenIntrospection(await discover(id, authentication), accessToken).then(
        () => expect.fail("the call succeeded"),
        (error: unknown) => error,
      );
    for (const authentication of [
      openid.ClientSecretBasic(`${watcher.key}x`),
      openid.ClientSecretPost("x"),
      openid.None(),
    ]) {
      const error = await refused(watcher.id, authentication);
      if (!(error instanceof openid.WWWAuthenticateChallengeError)) throw error;
      expect(error.status).to.equal(401);
      expect(error.cause.map(({ scheme, parameters }) => [scheme, parameters.realm])).to.deep.include([
        "basic",
        "latchkey",
      ]);
    }
    const error = await refused(watcher.id, openid.ClientSecretBasic(watcher.key));
    if (!(error instanceof openid.ResponseBodyError)) throw error;
    expect(error).to.include({ status: 403, error: "insufficient_scope", error_description: "Permission denied" });
  });

  it("revokes access tokens and refresh tokens, as itself and as nobody, and tokens that were never any", async () => {
    const { id, key } = await issueKey(service, ["introspect"]);
    const known = await discover(id, openid.ClientSecretBasic(key));
    const nobody = await discover("anybody", openid.None());
    for (const client of [known, nobody]) {
      for (const kind of ["accessToken", "refreshToken"] as const) {
        const tokens = await newSession();
        await openid.tokenRevocation(client, tokens[kind], { token_type_hint: "access_token" });
        expect(await openid.tokenIntrospection(known, tokens.accessToken)).to.deep.equal({ active: false });
      }
      await openid.tokenRevocation(client, "junk");
    }
  });
});
