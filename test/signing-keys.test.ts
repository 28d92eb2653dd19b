import { expect } from "chai";
import { generateSigningKey } from "../src/auth/signing-key.ts";
import { startPair } from "./support/pair.ts";
import { bearer, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { kidOf, kidsOf, storedSigningKeys } from "./support/signing-keys.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Lets time pass, and each process read the keys by it. */
async function passTimeOf(services: readonly TestService[], ms: number): Promise<void> {
  const [first] = services;
  if (!first) return;
  await passTime(first, ms);
  for (const { app } of services) await app.signingKeys.reread();
}

describe("a signing key", () => {
  it("gets a successor after SIGNING_KEY_MAX_AGE, published ten minutes before it is used, and is accepted until its last token is over", async () => {
    const { first, second, stop } = await startPair({ accessTokenTtl: HOUR, signingKeyMaxAge: 7 * DAY });
    const both = [first, second];
    try {
      const person = await signUpConfirmed(first);
      const old = await signIn(first, person);
      await passTimeOf(both, 7 * DAY - MINUTE);
      expect(kidsOf(first)).to.deep.equal([kidOf(old)]);
      await passTimeOf(both, MINUTE);
      await waitUntil(() => both.every((service) => kidsOf(service).length === 2));
      expect(kidsOf(first)).to.deep.equal(kidsOf(second));
      const [before, after] = kidsOf(first);
      await passTimeOf(both, 9 * MINUTE);
      const last = await signIn(first, person);
      expect(kidOf(last)).to.equal(before);
      await passTimeOf(both, MINUTE);
      for (const service of both) expect(kidOf(await signIn(service, person))).to.equal(after);
      await passTimeOf(both, HOUR - 2 * MINUTE);
      await second.auth.getMe({}, last.options);
      await passTimeOf(both, 3 * MINUTE);
      expect(kidsOf(second)).to.deep.equal([after]);
      expect(await refusalOf(second.auth.getMe({}, last.options))).to.equal("INVALID_TOKEN");
    } finally {
      await stop();
    }
  });

  it("is accepted for the longest ACCESS_TOKEN_TTL among the processes and 30 s, whichever adds the successor", async () => {
    const first = await startService({ config: { accessTokenTtl: MINUTE } });
    const { database, clock, mails } = first;
    const second = await startService({ database, clock, mails, config: { accessTokenTtl: 2 * HOUR } });
    try {
      const person = await signUpConfirmed(first);
      await first.app.signingKeys.rotate({ atOnce: false });
      // The successor is known to the second process, which goes on signing with the key before it for ten minutes.
      await waitUntil(() => kidsOf(second).length === 2);
      await waitUntil(async () => {
        const [before, after] = await storedSigningKeys(first);
        return before?.retireAt === (after?.activeFrom ?? 0) + 2 * HOUR + 30 * SECOND;
      });
      await passTimeOf([first, second], 9 * MINUTE);
      const last = await signIn(second, person);
      const [before] = await storedSigningKeys(first);
      expect(kidOf(last)).to.equal(before?.id);
      expect(before?.retireAt).to.be.above((claimsOf(last).exp - 1) * 1000 - clock.offset);
    } finally {
      await second.stop();
      await first.stop();
    }
  });

  it("outlives the tokens of a process that is gone by then", async () => {
    const first = await startService({ config: { accessTokenTtl: 2 * HOUR } });
    const { database, clock, mails } = first;
    try {
      const person = await signUpConfirmed(first);
      const { accessToken } = await signIn(first, person);
      const second = await startService({ database, clock, mails, config: { accessTokenTtl: MINUTE } });
      await second.app.signingKeys.rotate({ atOnce: true });
      await second.stop();
      const [before] = await storedSigningKeys(first);
      expect(before?.retireAt).to.be.at.least(claimsOf({ accessToken }).exp * 1000 + 30 * SECOND);
    } finally {
      await first.stop();
    }
  });

  it("that another process has just made is read when a token names it", async () => {
    const { first, second, stop } = await startPair();
    try {
      const person = await signUpConfirmed(first);
      const before = kidsOf(second);
      await first.app.signingKeys.rotate({ atOnce: true });
      const tokens = await signIn(first, person);
      expect(before).not.to.include(kidOf(tokens));
      // Strangers who name keys that nobody has do not keep it away.
      const strangers = Array.from({ length: 50 }, () => second.auth.getMe({}, bearer(unknownKey(tokens.accessToken))));
      expect((await second.auth.getMe({}, tokens.options)).user?.id).to.equal(person.id);
      for (const refused of strangers) expect(await refusalOf(refused)).to.equal("INVALID_TOKEN");
    } finally {
      await stop();
    }
  });

  it("that was retired signs and opens nothing more, in any process", async () => {
    const { first, second, stop } = await startPair();
    try {
      const old = await signIn(first, await signUpConfirmed(first));
      await second.auth.getMe({}, old.options);
      await first.app.signingKeys.rotate({ atOnce: true });
      const renewed = await refresh(first, old.refreshToken);
      await first.app.signingKeys.retire(kidOf(old));
      expect(await refusalOf(first.auth.getMe({}, old.options))).to.equal("INVALID_TOKEN");
      await waitUntil(() => kidsOf(second).join() === kidsOf(first).join());
      expect(await refusalOf(second.auth.getMe({}, old.options))).to.equal("INVALID_TOKEN");
      await second.auth.getMe({}, bearer(renewed.accessToken));
      const [row] = await storedSigningKeys(first);
      expect(row?.id).to.equal(kidOf(old));
      expect(row?.retireAt).to.be.below(Date.now() + SECOND);
    } finally {
      await stop();
    }
  });

  it("that was retired while it was the only one is replaced at once", async () => {
    const { first, second, stop } = await startPair();
    try {
      const person = await signUpConfirmed(first);
      const old = await signIn(first, person);
      await first.app.signingKeys.retire(kidOf(old));
      const fresh = await signIn(first, person);
      expect(kidOf(fresh)).not.to.equal(kidOf(old));
      await second.auth.getMe({}, fresh.options);
      expect(await storedSigningKeys(first)).to.have.length(2);
    } finally {
      await stop();
    }
  });

  it("that was to follow is dropped when another follows at once", async () => {
    const service = await startService();
    try {
      await service.app.signingKeys.rotate({ atOnce: false });
      const [, dropped] = kidsOf(service);
      await service.app.signingKeys.rotate({ atOnce: true });
      expect(kidsOf(service)).to.have.length(2).and.not.to.include(dropped);
      expect(service.app.signingKeys.current().kid).to.equal(kidsOf(service)[1]);
    } finally {
      await service.stop();
    }
  });

  it("that was to follow for a while, before another that follows, is dropped as well", async () => {
    const { first, second, stop } = await startPair();
    try {
      for (const _ of [1, 2]) await first.app.signingKeys.rotate({ atOnce: false });
      const [, ...dropped] = kidsOf(first);
      expect(dropped).to.have.length(2);
      await second.app.signingKeys.rotate({ atOnce: true });
      const [, kept] = kidsOf(second);
      await passTimeOf([first, second], 11 * MINUTE);
      expect(kidsOf(first)).to.have.length(2).and.not.to.include.members(dropped);
      for (const { app } of [first, second]) expect(app.signingKeys.current().kid).to.equal(kept);
    } finally {
      await stop();
    }
  });

  it("is made and read with the database's clock, whatever this process's", async () => {
    const first = await startService();
    const { database, mails } = first;
    try {
      const person = await signUpConfirmed(first);
      // Forty days fast, on the same data; nothing is old by the database.
      const fast = await startService({ database, mails });
      const realNow = Date.now;
      Date.now = () => realNow() + 40 * DAY;
      try {
        for (const { app } of [first, fast]) await app.signingKeys.reread();
        await fast.app.signingKeys.rotate({ atOnce: false });
        expect(fast.app.signingKeys.current().kid).to.equal(kidsOf(first)[0]);
        expect(kidsOf(fast)).to.have.length(2);
      } finally {
        Date.now = realNow;
      }
      expect(kidOf(await signIn(fast, person))).to.equal(kidsOf(first)[0]);
      await fast.stop();
      expect(await storedSigningKeys(first)).to.have.length(2);
    } finally {
      await first.stop();
    }
  });

  it("that is retired is not read any more", async () => {
    const service = await startService();
    try {
      const [old = ""] = kidsOf(service);
      await service.app.signingKeys.rotate({ atOnce: true });
      await service.app.signingKeys.retire(old);
      await service.database.query("UPDATE keys SET wrapped = '\\x00', public_jwk = '{}' WHERE id = $1", old);
      const { database, clock, mails } = service;
      const second = await startService({ database, clock, mails });
      expect(kidsOf(second)).to.deep.equal(kidsOf(service)).and.have.length(1);
      expect(second.lines.join()).not.to.include(old);
      await second.stop();
    } finally {
      await service.stop();
    }
  });

  it("has a name that no command takes for an option", async () => {
    // One thumbprint in 64 begins with a dash.
    const made = await Promise.all(Array.from({ length: 500 }, () => generateSigningKey("ES256")));
    expect(made.filter(({ kid }) => kid.startsWith("-"))).to.deep.equal([]);
  });

  it("is not half made by a process that dies in the middle of it", async () => {
    const service = await startService({ config: { signingKeyMaxAge: 7 * DAY } });
    try {
      const [kid = ""] = kidsOf(service);
      const died = service.database.query(
        `BEGIN; SELECT pg_advisory_xact_lock(7217002);
         UPDATE keys SET retire_at = now() WHERE purpose = 'sign_access';
         INSERT INTO keys (id, purpose, alg, public_jwk, wrapped) VALUES ('half', 'sign_access', 'ES256', '{}', '\\x00');
         SELECT pg_terminate_backend(pg_backend_pid()); COMMIT`,
      );
      expect(await died.then(String, (error: { code: string }) => error.code)).to.equal("57P01");
      await passTimeOf([service], 7 * DAY);
      await waitUntil(() => kidsOf(service).length === 2);
      expect(kidsOf(service)[0]).to.equal(kid);
      expect((await storedSigningKeys(service)).map(({ id }) => id)).to.deep.equal(kidsOf(service));
    } finally {
      await service.stop();
    }
  });
});

/** The same token under a name that no key has. */
function unknownKey(accessToken: string): string {
  const [, claims, signature] = accessToken.split(".");
  const header = JSON.stringify({ alg: "ES256", kid: "A".repeat(43), typ: "at+jwt" });
  return `${Buffer.from(header).toString("base64url")}.${claims}.${signature}`;
}
