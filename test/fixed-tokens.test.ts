import { expect } from "chai";
import { bearer, refusalOf, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, refresh, storedSession } from "./support/tokens.ts";

const SECOND = 1000;
const DAY = 86_400 * SECOND;

describe("a fixed refresh token", () => {
  let service: TestService;
  let strict: TestService;
  let person: Awaited<ReturnType<typeof signUpConfirmed>>;
  before(async () => {
    service = await startService();
    person = await signUpConfirmed(service);
    const { database, clock } = service;
    strict = await startService({ database, clock, config: { fixedRefreshTokens: false } });
  });
  after(async () => {
    await strict.stop();
    await service.stop();
  });

  async function signInFixed(at: TestService) {
    const { username: login, password } = person;
    const { tokens } = await at.auth.signIn({ login, password, fixedRefreshToken: true });
    if (!tokens) throw new Error("a sign-in gave no tokens");
    return tokens;
  }

  it("stays the same at each refresh, and each gives a new access token", async () => {
    const first = await signInFixed(service);
    for (let turn = 0; turn < 3; turn++) {
      await passTime(service, 60 * SECOND);
      const next = await refresh(service, first.refreshToken);
      expect(next.refreshToken).to.equal(first.refreshToken);
      expect(claimsOf(next).jti).not.to.equal(claimsOf(first).jti);
      expect(claimsOf(next).exp).to.be.greaterThan(claimsOf(first).exp);
      await service.auth.getMe({}, bearer(next.accessToken));
    }
    expect(await storedSession(service, first)).to.include({ counter: 0, rotates: false, ended: false });
  });

  it("moves only the time of use and the end of the latest access token", async () => {
    const first = await signInFixed(service);
    await passTime(service, 60 * SECOND);
    const before = await storedSession(service, first);
    const next = await refresh(service, first.refreshToken);
    const { refreshed, accessEnd, ...rest } = await storedSession(service, first);
    expect(before).to.include(rest);
    expect(refreshed - before.refreshed).to.be.within(60 * SECOND, 70 * SECOND);
    expect(accessEnd - before.accessEnd).to.be.within(60 * SECOND, 70 * SECOND);
    expect(Math.round(accessEnd + service.clock.offset)).to.be.at.least(claimsOf(next).exp * 1000);
  });

  it("ends a REFRESH_TOKEN_TTL after the sign-in, however often it was used", async () => {
    const first = await signInFixed(service);
    expect(Number(first.refreshExpireTime?.seconds)).to.be.closeTo(claimsOf(first).iat + 30 * 86_400, 1);
    await passTime(service, 29.5 * DAY);
    const last = await refresh(service, first.refreshToken);
    expect(last.refreshExpireTime).to.deep.equal(first.refreshExpireTime);
    expect(claimsOf(last).exp).to.be.closeTo(Number(first.refreshExpireTime?.seconds), 1);
    await passTime(service, DAY / 2);
    expect(await refusalOf(refresh(service, first.refreshToken))).to.equal("INVALID_TOKEN");
    expect(await refusalOf(service.auth.listSessions({}, bearer(last.accessToken)))).to.equal("INVALID_TOKEN");
  });

  it("is refused after the sign-out of its session, as its access tokens are", async () => {
    const first = await signInFixed(service);
    const next = await refresh(service, first.refreshToken);
    expect((await service.auth.signOut({ refreshToken: first.refreshToken })).signedOut).to.equal(true);
    expect(await refusalOf(refresh(service, first.refreshToken))).to.equal("INVALID_TOKEN");
    for (const { accessToken } of [first, next])
      expect(await refusalOf(service.auth.listSessions({}, bearer(accessToken)))).to.equal("INVALID_TOKEN");
  });

  it("rotates for new sessions where FIXED_REFRESH_TOKENS is false, and old sessions keep theirs", async () => {
    const old = await signInFixed(service);
    const first = await signInFixed(strict);
    expect((await storedSession(strict, first)).rotates).to.equal(true);
    expect((await refresh(strict, first.refreshToken)).refreshToken).not.to.equal(first.refreshToken);
    expect((await refresh(strict, old.refreshToken)).refreshToken).to.equal(old.refreshToken);
  });
});
