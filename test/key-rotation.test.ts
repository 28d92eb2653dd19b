import { expect } from "chai";
import type { Verifier } from "../src/client/verifier-entry.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { signIn, signUpConfirmed } from "./support/people.ts";
import type { TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";
import { kidOf, kidsOf, storedSigningKeys } from "./support/signing-keys.ts";
import { refresh } from "./support/tokens.ts";
import { createVerifiers, outcomeOf } from "./support/verifiers.ts";
import { waitUntil } from "./support/wait.ts";

type Person = { username: string; password: string };

describe("a rotation of the signing keys under load", () => {
  let pair: Pair;
  let person: Person;
  let introspect: (service: TestService, token: string) => Promise<string>;
  const verifiers = createVerifiers();
  beforeEach(async () => {
    pair = await startPair();
    person = await signUpConfirmed(pair.first);
    const { options } = await issueKey(pair.first, ["introspect"]);
    introspect = async (service, token) => {
      const { active } = await tokenClient(service).introspectToken({ token }, options);
      return active ? "good" : "bad";
    };
  });
  afterEach(async () => {
    verifiers.close();
    await pair.stop();
  });

  /**
   * Has people of both services refresh, sign in and be checked everywhere until it is told to end. Gives the names of
   * the keys that signed, and every failure.
   */
  function load({ first, second }: Pair, checkers: readonly Verifier[]) {
    const kids = new Set<string>();
    const failures: string[] = [];
    let ended = false;
    const check = async (accessToken: string) => {
      const outcomes = [
        ...checkers.map((verifier) => outcomeOf(verifier, accessToken)),
        ...[first, second].map((service) => introspect(service, accessToken)),
      ];
      for (const outcome of await Promise.all(outcomes)) if (outcome !== "good") failures.push(outcome);
    };
    const live = async (service: TestService, other: TestService) => {
      let tokens: { accessToken: string; refreshToken: string } = await signIn(service, person);
      for (let turn = 0; !ended; turn++) {
        kids.add(kidOf(tokens));
        await check(tokens.accessToken);
        tokens = turn % 5 === 4 ? await signIn(other, person) : await refresh(other, tokens.refreshToken);
      }
    };
    const lives = [live(first, second), live(second, first), live(first, first), live(second, second)].map((life) =>
      life.catch((error) => failures.push(String(error))),
    );
    return {
      kids,
      failures,
      async end(): Promise<void> {
        ended = true;
        await Promise.all(lives);
      },
    };
  }

  for (const atOnce of [false, true]) {
    it(`${atOnce ? "at once" : "in time"} fails nobody: refreshes, sign-ins, introspection, verifiers in process`, async () => {
      const { first, second } = pair;
      const checkers = [await verifiers.of(first), await verifiers.of(second)];
      for (const verifier of checkers) await verifier.ready();
      const { kids, failures, end } = load(pair, checkers);
      await waitUntil(() => kids.size === 1);
      await first.app.signingKeys.rotate({ atOnce });
      const [, successor = ""] = kidsOf(first);
      await waitUntil(() => kidsOf(second).includes(successor));
      // As if ten minutes had passed.
      if (!atOnce) await first.database.query("UPDATE keys SET active_from = now() WHERE id = $1", successor);
      await waitUntil(() => kids.has(successor));
      await waitUntil(() => [first, second].every(({ app }) => app.signingKeys.current().kid === successor));
      await end();
      expect(failures).to.deep.equal([]);
      expect([...kids])
        .to.have.members((await storedSigningKeys(first)).map(({ id }) => id))
        .and.have.length(2);
    });
  }
});
