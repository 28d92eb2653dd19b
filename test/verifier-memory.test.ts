import { expect } from "chai";
import { type FakeTokenService, startFakeTokenService } from "./support/fake-token-service.ts";
import { skipMonotonic } from "./support/time.ts";
import { eachWithVerifiers, outcomeOf } from "./support/verifiers.ts";
import { waitUntil } from "./support/wait.ts";

describe("the memory of a verifier", () => {
  let service: FakeTokenService;
  const verifiers = eachWithVerifiers(async () => {
    service = await startFakeTokenService();
    return service;
  });

  it("holds a revocation for its time, though the clock was far ahead for a while", async () => {
    const verifier = verifiers.at(service.url);
    await verifier.ready();
    const { token, claims } = service.mint();
    service.revoke(claims.sid);
    await waitUntil(async () => (await verifier.verify(token)) === null);
    const realNow = Date.now;
    Date.now = () => realNow() + 7_200_000;
    const back = skipMonotonic(61_000);
    try {
      expect(verifier.isInSync()).to.equal(false);
      service.revoke("another session");
      await waitUntil(() => verifier.isInSync());
    } finally {
      back();
      Date.now = realNow;
    }
    expect(await outcomeOf(verifier, token)).to.equal("bad");
  });

  it("is not filled by an answer that never ends", async () => {
    const failures: unknown[] = [];
    const verifier = verifiers.at(service.url, { onFailure: (error) => failures.push(error) });
    await verifier.ready();
    service.revoke("x".repeat(5_000_000));
    await waitUntil(() => failures.length === 1);
    expect(String(failures[0])).to.include("[resource_exhausted]");
    await waitUntil(() => service.streams() === 1);
    expect(await outcomeOf(verifier, service.mint().token)).to.equal("good");
  });
});
