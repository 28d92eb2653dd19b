import { expect } from "chai";
import type { Config } from "../src/config.ts";
import { createSecret } from "../src/secret.ts";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { headerOf, kidOf, kidsOf, storedSigningKeys } from "./support/signing-keys.ts";
import { passTime } from "./support/time.ts";
import { refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

type Algorithm = Config["jwtAlgorithm"];

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const jwtSecret = createSecret("a secret for HS256, shared with a backend");

/** Another process of the same service, with other settings. */
function startBeside({ database, clock, mails }: TestService, config: Partial<Config>): Promise<TestService> {
  return startService({ database, clock, mails, config });
}

describe("JWT_ALGORITHM", () => {
  for (const jwtAlgorithm of ["ES256", "RS256", "PS256"] as const) {
    it(`${jwtAlgorithm} signs with one key, though eight services start at once on an empty database`, async () => {
      const database = await createTestDatabase();
      const shared = { database, mails: [], config: { jwtAlgorithm } };
      const starts = Array.from({ length: 8 }, () => startService(shared));
      const services = await Promise.all(starts);
      try {
        const [first, ...others] = services;
        if (!first) throw new Error("none was started");
        expect(await storedSigningKeys(first)).to.have.length(1);
        const person = await signUpConfirmed(first);
        const tokens = await signIn(first, person);
        expect(headerOf(tokens)).to.deep.equal({ alg: jwtAlgorithm, typ: "at+jwt", kid: kidsOf(first)[0] });
        for (const other of others) await other.auth.getMe({}, tokens.options);
        for (const other of others) expect(kidOf(await signIn(other, person))).to.equal(kidOf(tokens));
      } finally {
        for (const service of services) await service.stop();
        await database.drop();
      }
    });
  }

  it("HS256 signs with JWT_SECRET, whose key stands in no table and is not published", async () => {
    const service = await startService({ config: { jwtAlgorithm: "HS256", jwtSecret } });
    try {
      const tokens = await signIn(service, await signUpConfirmed(service));
      expect(headerOf(tokens)).to.deep.equal({ alg: "HS256", typ: "at+jwt", kid: "hs256" });
      await service.auth.getMe({}, tokens.options);
      expect(await storedSigningKeys(service)).to.deep.equal([]);
      expect(await (await fetch(`${service.httpUrl}/.well-known/jwks.json`)).json()).to.deep.equal({ keys: [] });
      expect(await refusalOf(refresh(service, tokens.refreshToken))).to.equal("");
    } finally {
      await service.stop();
    }
  });

  it("is followed at once by a start, and every token of the one before stays good", async () => {
    const first = await startService();
    const person = await signUpConfirmed(first);
    const before = await signIn(first, person);
    for (const jwtAlgorithm of ["RS256", "PS256", "HS256", "ES256"] as const satisfies readonly Algorithm[]) {
      const second = await startBeside(first, { jwtAlgorithm, jwtSecret });
      const tokens = await signIn(second, person);
      expect(headerOf(tokens)).to.deep.include({ alg: jwtAlgorithm, typ: "at+jwt" });
      await second.auth.getMe({}, tokens.options);
      await second.auth.getMe({}, before.options);
      if (jwtAlgorithm !== "HS256") await first.auth.getMe({}, tokens.options);
      await second.stop();
    }
    await first.stop();
  });

  it("is published by every process before the first token is signed by it", async () => {
    const first = await startService();
    const known = new Set<string>();
    const second = startBeside(first, { jwtAlgorithm: "RS256" }).then((started) => {
      for (const kid of kidsOf(first)) known.add(kid);
      return started;
    });
    try {
      const tokens = await signIn(await second, await signUpConfirmed(await second));
      expect(headerOf(tokens).alg).to.equal("RS256");
      expect(known).to.include(kidOf(tokens));
    } finally {
      await (await second).stop();
      await first.stop();
    }
  });

  it("may differ between processes for as long as it likes: no key is made twice, none ends that is in use", async () => {
    const first = await startService({ config: { accessTokenTtl: HOUR } });
    const second = await startBeside(first, { accessTokenTtl: HOUR, jwtAlgorithm: "PS256" });
    try {
      const person = await signUpConfirmed(first);
      for (let day = 0; day < 3; day++) {
        const [old, fresh] = [await signIn(first, person), await signIn(second, person)];
        expect([headerOf(old).alg, headerOf(fresh).alg]).to.deep.equal(["ES256", "PS256"]);
        await passTime(first, HOUR - 60_000);
        for (const { app } of [first, second]) await app.signingKeys.reread();
        for (const { options } of [old, fresh]) {
          await first.auth.getMe({}, options);
          await second.auth.getMe({}, options);
        }
        await waitUntil(async () => (await remaining(first, kidOf(old))) > HOUR + 60_000);
      }
      expect(await storedSigningKeys(first)).to.have.length(2);
    } finally {
      await second.stop();
      await first.stop();
    }
  });

  for (const jwtAlgorithm of ["RS256", "HS256"] as const) {
    it(`${jwtAlgorithm} ends the key of the algorithm before it once no process signs with that`, async () => {
      const first = await startService({ config: { accessTokenTtl: HOUR } });
      const { database, clock, mails } = first;
      const last = await signIn(first, await signUpConfirmed(first));
      const second = await startBeside(first, { accessTokenTtl: HOUR, jwtAlgorithm, jwtSecret });
      // The database is the first one's, and goes with it.
      await first.app.close();
      try {
        await second.auth.getMe({}, last.options);
        expect(kidsOf(second)).to.include(kidOf(last));
        await passTime({ database, clock }, HOUR + 15 * 60_000);
        await waitUntil(() => !kidsOf(second).includes(kidOf(last)));
        expect(await refusalOf(second.auth.getMe({}, last.options))).to.equal("INVALID_TOKEN");
      } finally {
        await second.stop();
        await first.stop();
      }
      expect(mails).to.have.length(1);
    });
  }

  it("RS256 gets a successor when it is as old as SIGNING_KEY_MAX_AGE, which leaves keys in use of others alone", async () => {
    const config = { accessTokenTtl: HOUR, signingKeyMaxAge: 7 * DAY };
    const first = await startService({ config });
    const second = await startBeside(first, { ...config, jwtAlgorithm: "RS256" });
    try {
      await first.database.query("UPDATE keys SET active_from = active_from - interval '7 d'");
      await waitUntil(() => kidsOf(first).length === 4 && kidsOf(second).length === 4);
      const algs = first.app.signingKeys.list().map(({ alg }) => alg);
      expect(algs.toSorted()).to.deep.equal(["ES256", "ES256", "RS256", "RS256"]);
      await passTime(first, 10 * 60_000);
      for (const { app } of [first, second]) await app.signingKeys.reread();
      const person = await signUpConfirmed(first);
      for (const [service, alg] of [[first, "ES256"] as const, [second, "RS256"] as const]) {
        const tokens = await signIn(service, person);
        expect(headerOf(tokens).alg).to.equal(alg);
        await first.auth.getMe({}, tokens.options);
        await second.auth.getMe({}, tokens.options);
      }
      expect(await storedSigningKeys(first)).to.have.length(4);
    } finally {
      await second.stop();
      await first.stop();
    }
  });
});

/** For how many milliseconds more a key is accepted. */
async function remaining(service: TestService, kid: string): Promise<number> {
  const row = (await storedSigningKeys(service)).find(({ id }) => id === kid);
  return (row?.retireAt ?? Number.POSITIVE_INFINITY) - Date.now();
}
