import { expect } from "chai";
import { createSecret } from "../src/secret.ts";
import { startPair } from "./support/pair.ts";
import { bearer, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The header of an access token, unchecked. */
function headerOf(accessToken: string): { alg: string; kid: string; typ: string } {
  return JSON.parse(Buffer.from(accessToken.split(".")[0] ?? "", "base64url").toString());
}

const kidOf = (tokens: { accessToken: string }) => headerOf(tokens.accessToken).kid;
const kids = ({ app }: TestService) => app.signingKeys.list().map(({ kid }) => kid);

describe("a signing key", () => {
  it("gets a successor after SIGNING_KEY_MAX_AGE, published ten minutes before it is used, and is accepted until its last token is over", async () => {
    const { first, second, stop } = await startPair({ accessTokenTtl: HOUR, signingKeyMaxAge: 7 * DAY });
    try {
      const person = await signUpConfirmed(first);
      const old = await signIn(first, person);
      await passTime(first, 7 * DAY - MINUTE);
      await first.app.signingKeys.reread();
      expect(kids(first)).to.deep.equal([kidOf(old)]);
      await passTime(first, MINUTE);
      await waitUntil(() => kids(first).length === 2 && kids(second).length === 2);
      expect(kids(first)).to.deep.equal(kids(second));
      const [before, after] = kids(first);
      await passTime(first, 9 * MINUTE);
      await waitUntil(() => kids(first).length === 2);
      const last = await signIn(first, person);
      expect(kidOf(last)).to.equal(before);
      await passTime(first, MINUTE);
      for (const service of [first, second])
        await waitUntil(async () => kidOf(await signIn(service, person)) === after);
      await second.auth.getMe({}, last.options);
      await passTime(first, HOUR - 2 * MINUTE);
      await second.auth.getMe({}, last.options);
      await passTime(first, 3 * MINUTE);
      await waitUntil(() => kids(second).length === 1);
      expect(kids(second)).to.deep.equal([after]);
      expect(await refusalOf(second.auth.getMe({}, last.options))).to.equal("INVALID_TOKEN");
    } finally {
      await stop();
    }
  });

  it("gets one successor from eight processes that find it old at once", async () => {
    const database = await createTestDatabase();
    const services = await Promise.all(
      Array.from({ length: 8 }, () => startService({ database, config: { accessTokenTtl: HOUR } })),
    );
    try {
      await Promise.all(services.map(({ app }) => app.signingKeys.rotate({ atOnce: true })));
      await database.query("DELETE FROM keys WHERE purpose = 'sign_access' AND retire_at IS NOT NULL");
      await database.query("UPDATE keys SET active_from = active_from - interval '31 d' WHERE purpose = 'sign_access'");
      await waitUntil(() => services.every((service) => kids(service).length === 2));
      const [row] = await database.query<{ keys: number }>(
        "SELECT count(*)::int AS keys FROM keys WHERE purpose = 'sign_access'",
      );
      expect(row?.keys).to.equal(2);
    } finally {
      for (const service of services) await service.stop();
      await database.drop();
    }
  });

  it("that another process has just made is read when a token names it", async () => {
    const { first, second, stop } = await startPair();
    try {
      const person = await signUpConfirmed(first);
      await first.app.signingKeys.rotate({ atOnce: true });
      const tokens = await signIn(first, person);
      expect((await second.auth.getMe({}, tokens.options)).user?.id).to.equal(person.id);
    } finally {
      await stop();
    }
  });

  it("that was retired signs and opens nothing more, in any process", async () => {
    const { first, second, stop } = await startPair();
    try {
      const old = await signIn(first, await signUpConfirmed(first));
      await first.app.signingKeys.rotate({ atOnce: true });
      const renewed = await refresh(first, old.refreshToken);
      await first.app.signingKeys.retire(kidOf(old));
      expect(await refusalOf(first.auth.getMe({}, old.options))).to.equal("INVALID_TOKEN");
      await waitUntil(() => kids(second).join() === kids(first).join());
      expect(await refusalOf(second.auth.getMe({}, old.options))).to.equal("INVALID_TOKEN");
      await second.auth.getMe({}, bearer(renewed.accessToken));
    } finally {
      await stop();
    }
  });

  it("of another algorithm takes over at once when that is set, and tokens of the one before stay good", async () => {
    const first = await startService();
    const person = await signUpConfirmed(first);
    const before = await signIn(first, person);
    const jwtSecret = createSecret("a secret for HS256, shared with a backend");
    for (const jwtAlgorithm of ["RS256", "PS256", "HS256", "ES256"] as const) {
      const { database, clock, mails } = first;
      const second = await startService({ database, clock, mails, config: { jwtAlgorithm, jwtSecret } });
      const tokens = await signIn(second, person);
      expect(headerOf(tokens.accessToken)).to.deep.include({ alg: jwtAlgorithm, typ: "at+jwt" });
      await second.auth.getMe({}, tokens.options);
      await second.auth.getMe({}, before.options);
      if (jwtAlgorithm !== "HS256") await first.auth.getMe({}, tokens.options);
      else expect(headerOf(tokens.accessToken).kid).to.equal("hs256");
      await second.stop();
    }
    await first.stop();
  });
});

describe("SECRET_KEY", () => {
  it("can be replaced in a rolling restart: no token, password or session is touched", async () => {
    const first = await startService();
    const { database, clock, mails } = first;
    const person = await signUpConfirmed(first);
    const tokens = await signIn(first, person);
    const secretKey = createSecret("another secret key, as long as the first");
    const secretKeyPrevious = [createSecret(SECRET_KEY)];
    const second = await startService({ database, clock, mails, config: { secretKey, secretKeyPrevious } });
    for (const service of [first, second]) {
      await service.auth.getMe({}, tokens.options);
      const fresh = await signIn(service, person);
      await (service === first ? second : first).auth.refreshToken({ refreshToken: fresh.refreshToken });
    }
    // What a process with the old key adds is opened by one with both; the next start wraps it anew.
    await first.app.signingKeys.rotate({ atOnce: true });
    await second.auth.getMe({}, (await signIn(first, person)).options);
    await second.stop();
    await (await startService({ database, clock, mails, config: { secretKey, secretKeyPrevious } })).stop();
    const third = await startService({ database, clock, mails, config: { secretKey } });
    await third.auth.getMe({}, tokens.options);
    expect(await refusalOf(third.auth.refreshToken({ refreshToken: tokens.refreshToken }))).to.equal("");
    await third.stop();
    const refused = await startService({ database, clock, mails }).then(
      (started) => started.stop().then(() => "started"),
      (error: Error) => error.name,
    );
    expect(refused).to.equal("WrongSecretKey");
    await first.stop();
  });
});
