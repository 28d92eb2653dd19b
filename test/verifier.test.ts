import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { authenticate, createVerifier, type Verifier, type VerifierOptions } from "../src/client/verifier-entry.ts";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { claimsOf } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

describe("a verifier", () => {
  let service: TestService;
  const open: Verifier[] = [];
  before(async () => {
    service = await startService();
  });
  afterEach(() => {
    for (const verifier of open.splice(0)) verifier.close();
  });
  after(() => service.stop());

  async function start(options: Partial<VerifierOptions> = {}): Promise<Verifier> {
    const { key } = await issueKey(service, ["watch", "introspect"]);
    const { jwtIssuer: issuer, jwtAudience: audience } = service.config;
    const verifier = createVerifier({ service: service.grpcUrl, serviceKey: key, issuer, audience, ...options });
    open.push(verifier);
    return verifier;
  }
  const signInSomebody = async () => signIn(service, await signUpConfirmed(service));

  it("tells what a good token says, and null of any other", async () => {
    const verifier = await start();
    await verifier.ready();
    const tokens = await signInSomebody();
    for (const _ of [1, 2]) expect(await verifier.verify(tokens.accessToken)).to.deep.equal(claimsOf(tokens));
    for (const token of ["", "x.y.z", tokens.refreshToken, `${tokens.accessToken.slice(0, -4)}AAAA`])
      expect(await verifier.verify(token)).to.equal(null);
    const stranger = await start({ audience: "somebody else" });
    await stranger.ready();
    expect(await stranger.verify(tokens.accessToken)).to.equal(null);
  });

  it("knows within a moment of a session that was ended, remembered or not", async () => {
    const verifier = await start();
    await verifier.ready();
    const [seen, unseen] = [await signInSomebody(), await signInSomebody()];
    expect(await verifier.verify(seen.accessToken)).not.to.equal(null);
    for (const { refreshToken } of [seen, unseen]) await service.auth.signOut({ refreshToken });
    for (const { accessToken } of [seen, unseen])
      await waitUntil(async () => (await verifier.verify(accessToken)) === null, 1_000);
  });

  it("knows of what was ended before it began", async () => {
    const tokens = await signInSomebody();
    await service.auth.signOut({ refreshToken: tokens.refreshToken });
    const verifier = await start();
    await verifier.ready();
    expect(await verifier.verify(tokens.accessToken)).to.equal(null);
  });

  it("takes tokens of a key that was made after it began", async () => {
    const verifier = await start();
    await verifier.ready();
    await service.app.signingKeys.rotate({ atOnce: true });
    const tokens = await signInSomebody();
    expect(await verifier.verify(tokens.accessToken)).to.deep.equal(claimsOf(tokens));
  });

  it("reads the headers of a plain HTTP request", async () => {
    const verifier = await start();
    await verifier.ready();
    const tokens = await signInSomebody();
    const server = createServer(async (req, res) => {
      const claims = await authenticate(verifier, req.headers);
      res.writeHead(claims ? 200 : 401).end(claims?.username);
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const good = await fetch(url, { headers: { authorization: `Bearer ${tokens.accessToken}` } });
    expect([good.status, await good.text()]).to.deep.equal([200, tokens.user.username]);
    expect((await fetch(url)).status).to.equal(401);
    server.close();
  });

  for (const [whenAway, expected] of [
    ["introspect", "VerifierAway"],
    ["reject", "VerifierAway"],
    ["accept", "good"],
  ] as const) {
    it(`says what it was told to, ${whenAway}, once the service is away`, async () => {
      const other = await startService({ database: service.database, clock: service.clock, mails: service.mails });
      const verifier = await start({ service: other.grpcUrl, whenAway, awayAfterMs: 200 });
      await verifier.ready();
      const tokens = await signInSomebody();
      expect(await verifier.verify(tokens.accessToken)).not.to.equal(null);
      await other.stop();
      await waitUntil(() => !verifier.isInSync());
      const outcome = await verifier.verify(tokens.accessToken).then(
        (claims) => (claims ? "good" : "bad"),
        (error: Error) => error.name,
      );
      expect(outcome).to.equal(expected);
    });
  }

  it("asks the service about each token while it has no stream", async () => {
    const introspectOnly = (await issueKey(service, ["introspect"])).key;
    const verifier = await start({ serviceKey: introspectOnly });
    const tokens = await signInSomebody();
    await waitUntil(async () => (await verifier.verify(tokens.accessToken).catch(() => null)) !== null);
    await service.auth.signOut({ refreshToken: tokens.refreshToken });
    expect(await verifier.verify(tokens.accessToken)).to.equal(null);
    expect(await refusalOf(service.auth.getMe({}, tokens.options))).to.equal("INVALID_TOKEN");
  });
});
