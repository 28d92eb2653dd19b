import { inspect } from "node:util";
import { expect } from "chai";
import { createVerifier, type VerifierOptions } from "../src/client/verifier-entry.ts";
import { makeKey, mintWith } from "./support/fake-token-service.ts";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { claimsOf } from "./support/tokens.ts";
import { createVerifiers, outcomeOf } from "./support/verifiers.ts";
import { waitUntil } from "./support/wait.ts";

describe("a verifier", () => {
  let service: TestService;
  const verifiers = createVerifiers();
  before(async () => {
    service = await startService();
  });
  afterEach(() => verifiers.close());
  after(() => service.stop());

  async function start(options: Partial<VerifierOptions> = {}) {
    const verifier = await verifiers.of(service, options);
    await verifier.ready();
    return verifier;
  }
  const signInSomebody = async () => signIn(service, await signUpConfirmed(service));

  it("tells what a good token says, and null of any other", async () => {
    const verifier = await start();
    const tokens = await signInSomebody();
    for (const _ of [1, 2]) expect(await verifier.verify(tokens.accessToken)).to.deep.equal(claimsOf(tokens));
    for (const token of ["", "x.y.z", tokens.refreshToken, `${tokens.accessToken.slice(0, -4)}AAAA`])
      expect(await verifier.verify(token)).to.equal(null);
  });

  it("takes no token that is for somebody else, or from somebody else", async () => {
    const { accessToken } = await signInSomebody();
    for (const options of [{ audience: "somebody else" }, { issuer: "http://elsewhere" }])
      expect(await outcomeOf(await start(options), accessToken)).to.equal("bad");
  });

  for (const [option, wrong] of [
    ["issuer", "http://elsewhere/"],
    ["audience", "somebody else"],
  ] as const) {
    it(`tells once of good tokens of another ${option}, and of no forged ones`, async () => {
      const failures: string[] = [];
      const verifier = await start({ [option]: wrong, onFailure: (error) => failures.push(String(error)) });
      const { accessToken } = await signInSomebody();
      const [, body = ""] = accessToken.split(".");
      const forged = mintWith(await makeKey())
        .token.split(".")
        .with(1, body)
        .join(".");
      for (const token of [`${accessToken.slice(0, -4)}AAAA`, forged, "x.y.z"])
        expect(await outcomeOf(verifier, token)).to.equal("bad");
      expect(failures).to.deep.equal([]);
      await waitUntil(async () => (await outcomeOf(verifier, accessToken)) === "bad" && failures.length > 0);
      for (let count = 0; count < 3; count += 1) await outcomeOf(verifier, (await signInSomebody()).accessToken);
      const found = option === "issuer" ? service.config.jwtIssuer : service.config.jwtAudience;
      expect(failures).to.deep.equal([
        `Error: a token that the service has signed was refused: its ${option} is "${found}", not "${wrong}"`,
      ]);
    });
  }

  it("lets nobody change what it tells the next one", async () => {
    const verifier = await start();
    const { accessToken } = await signInSomebody();
    const claims = await verifier.verify(accessToken);
    expect(() => Object.assign(claims ?? {}, { sub: "1" })).to.throw(TypeError);
    expect(() => Object.assign(claims?.roles ?? [], ["admin"])).to.throw(TypeError);
  });

  it("knows within a moment of a session that was ended, remembered or not", async () => {
    const verifier = await start();
    const [seen, unseen] = [await signInSomebody(), await signInSomebody()];
    expect(await outcomeOf(verifier, seen.accessToken)).to.equal("good");
    for (const { refreshToken } of [seen, unseen]) await service.auth.signOut({ refreshToken });
    for (const { accessToken } of [seen, unseen])
      await waitUntil(async () => (await verifier.verify(accessToken)) === null);
  });

  it("knows of what was ended before it began", async () => {
    const tokens = await signInSomebody();
    await service.auth.signOut({ refreshToken: tokens.refreshToken });
    expect(await outcomeOf(await start(), tokens.accessToken)).to.equal("bad");
  });

  it("takes tokens of a key that was made after it began, and none of a retired one once it has heard of that", async () => {
    const verifier = await start();
    const old = await signInSomebody();
    expect(await outcomeOf(verifier, old.accessToken)).to.equal("good");
    const [retired] = service.app.signingKeys.list();
    await service.app.signingKeys.rotate({ atOnce: true });
    await service.app.signingKeys.retire(retired?.kid ?? "");
    const tokens = await signInSomebody();
    expect(await verifier.verify(tokens.accessToken)).to.deep.equal(claimsOf(tokens));
    expect(await outcomeOf(verifier, old.accessToken)).to.equal("bad");
  });

  for (const [whenAway, expected] of [
    ["introspect", "VerifierAway"],
    ["reject", "VerifierAway"],
    ["accept", "good"],
  ] as const) {
    it(`does as it was told, ${whenAway}, once the service is away`, async () => {
      const other = await startService({ database: service.database, clock: service.clock, mails: service.mails });
      const verifier = await start({ service: other.grpcUrl, whenAway, awayAfterMs: 200 });
      const tokens = await signInSomebody();
      expect(await outcomeOf(verifier, tokens.accessToken)).to.equal("good");
      await other.stop();
      await waitUntil(() => !verifier.isInSync());
      expect(await outcomeOf(verifier, tokens.accessToken)).to.equal(expected);
    });
  }

  it("asks the service about each token while it has no stream", async () => {
    const { key } = await issueKey(service, ["introspect"]);
    const verifier = await verifiers.of(service, { serviceKey: key });
    const tokens = await signInSomebody();
    expect(await outcomeOf(verifier, tokens.accessToken)).to.equal("good");
    await service.auth.signOut({ refreshToken: tokens.refreshToken });
    expect(await outcomeOf(verifier, tokens.accessToken)).to.equal("bad");
    expect(await refusalOf(service.auth.getMe({}, tokens.options))).to.equal("INVALID_TOKEN");
  });

  it("tells why it has no stream, and does not tell the key", async () => {
    const failures: unknown[] = [];
    const onFailure = (error: unknown) => void failures.push(error);
    const { key, id } = await issueKey(service, ["introspect"]);
    for (const serviceKey of [key, `${key}x`]) await verifiers.of(service, { serviceKey, onFailure });
    for (const why of ["lacks the scope watch", "is not good: unknown there, revoked or expired"])
      await waitUntil(() => failures.map(String).includes(`Error: the service key ${why}`));
    expect(inspect(failures)).to.include("[permission_denied]").and.not.to.include(id);
  });

  it("refuses options that could never work, and does not quote the key", () => {
    const good = { service: "http://auth:50051", serviceKey: "lk_test_key", issuer: "http://auth" };
    const faults: Partial<Record<keyof VerifierOptions, unknown>>[] = [
      ...["", "auth:50051", "grpc://auth", "http://", "http://auth:99999"].map((service) => ({ service })),
      ...[undefined, "", "secret", "lk_a\nb"].map((serviceKey) => ({ serviceKey })),
      ...[undefined, ""].map((issuer) => ({ issuer })),
      ...[{ audience: "" }, { whenAway: "introspct" }],
      ...[Number.NaN, -1].flatMap((number) => [{ awayAfterMs: number }, { remembered: number }]),
    ];
    for (const fault of faults) {
      const [name = ""] = Object.keys(fault);
      const make = () => createVerifier({ ...good, ...(fault as Partial<VerifierOptions>) });
      expect(make, JSON.stringify(fault)).to.throw(TypeError, new RegExp(`^${name} `));
      expect(make).not.to.throw("secret");
    }
  });
});
