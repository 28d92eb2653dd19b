import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { type FakeTokenService, makeKey, mintWith, startFakeTokenService } from "./support/fake-token-service.ts";
import { skipMonotonic } from "./support/time.ts";
import { eachWithVerifiers, outcomeOf } from "./support/verifiers.ts";
import { waitUntil } from "./support/wait.ts";

describe("a verifier's keys", () => {
  let service: FakeTokenService;
  const verifiers = eachWithVerifiers(async () => {
    service = await startFakeTokenService();
    return service;
  });

  it("are fetched anew for a name that is not among them, once for all who ask, and at most once in 10 s", async () => {
    const verifier = verifiers.at(service.url);
    await verifier.ready();
    expect(service.calls.listSigningKeys).to.equal(1);
    await service.rotate();
    const strangers = await Promise.all(Array.from({ length: 20 }, async () => mintWith(await makeKey()).token));
    const tokens = [...strangers, service.mint().token];
    const outcomes = await Promise.all(tokens.map((token) => outcomeOf(verifier, token)));
    expect(outcomes).to.deep.equal([...strangers.map(() => "bad"), "good"]);
    expect(service.calls.listSigningKeys).to.equal(2);
    for (const token of strangers) expect(await outcomeOf(verifier, token)).to.equal("bad");
    expect(service.calls.listSigningKeys).to.equal(2);
    const back = skipMonotonic(10_000);
    expect(await outcomeOf(verifier, strangers[0] ?? "")).to.equal("bad");
    back();
    expect(service.calls.listSigningKeys).to.equal(3);
  });

  it("are not taken to be all there are when they could not be fetched", async () => {
    const { listSigningKeys } = service.answers;
    service.answers.listSigningKeys = async () => {
      throw new ConnectError("gone", Code.Unavailable);
    };
    const verifier = verifiers.at(service.url, { whenAway: "accept" });
    const { token } = service.mint();
    expect(await outcomeOf(verifier, token)).to.equal("VerifierAway");
    expect(await outcomeOf(verifier, "x.y.z")).to.equal("bad");
    service.answers.listSigningKeys = listSigningKeys;
    await verifier.ready();
    expect(await outcomeOf(verifier, token)).to.equal("good");
  });

  it("go on to be used while new ones cannot be fetched", async () => {
    const verifier = verifiers.at(service.url);
    await verifier.ready();
    const { token } = service.mint();
    service.answers.listSigningKeys = async () => {
      throw new ConnectError("gone", Code.Unavailable);
    };
    expect(await outcomeOf(verifier, mintWith(await makeKey()).token)).to.equal("VerifierAway");
    expect(await outcomeOf(verifier, token)).to.equal("good");
  });

  it("are those with an algorithm that is known here", async () => {
    const { listSigningKeys } = service.answers;
    service.answers.listSigningKeys = async () => {
      const [key] = await listSigningKeys();
      return key ? [{ ...key, kid: "new", alg: "ES999", kty: "NEW" }, key] : [];
    };
    const verifier = verifiers.at(service.url);
    await verifier.ready();
    expect(await outcomeOf(verifier, service.mint().token)).to.equal("good");
  });

  it("are missed, loudly, where the service has none to tell", async () => {
    service.answers.listSigningKeys = async () => [];
    const failures: unknown[] = [];
    const verifier = verifiers.at(service.url, { onFailure: (error) => failures.push(error) });
    await waitUntil(() => failures.length > 0);
    expect(String(failures[0])).to.include("HS256");
    expect(await outcomeOf(verifier, service.mint().token)).to.equal("VerifierAway");
  });
});
