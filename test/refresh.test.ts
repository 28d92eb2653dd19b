import { expect } from "chai";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { passTime } from "./support/time.ts";
import { claimsOf, refresh, storedSession } from "./support/tokens.ts";

const SECOND = 1000;
const DAY = 86_400 * SECOND;
const GRACE = 30 * SECOND;

describe("a refresh token", () => {
  let service: TestService;
  let person: Awaited<ReturnType<typeof signUpConfirmed>>;
  before(async () => {
    service = await startService();
    person = await signUpConfirmed(service);
  });
  after(() => service.stop());

  const refusalOfRefresh = (token: string) => refusalOf(service.auth.refreshToken({ refreshToken: token }));

  async function expectEndedByReuse(session: { readonly accessToken: string }): Promise<void> {
    expect(await storedSession(service, session)).to.include({ ended: true, endReason: "reused" });
    const { sid } = claimsOf(session);
    expect(await service.database.query("SELECT 1 FROM revocations WHERE session_id = $1", sid)).to.have.length(1);
    const options = { headers: { authorization: `Bearer ${session.accessToken}` } };
    expect(await refusalOf(service.auth.listSessions({}, options))).to.equal("INVALID_TOKEN");
  }

  it("that is the current one gives a new pair and moves the counter by one", async () => {
    const first = await signIn(service, person);
    expect((await storedSession(service, first)).counter).to.equal(0);
    const second = await refresh(service, first.refreshToken);
    expect(second.refreshToken).not.to.equal(first.refreshToken);
    expect(claimsOf(second).jti).not.to.equal(claimsOf(first).jti);
    expect(claimsOf(second)).to.include({
      sid: claimsOf(first).sid,
      sub: String(person.id),
      username: person.username,
    });
    expect((await storedSession(service, first)).counter).to.equal(1);
    await refresh(service, second.refreshToken);
    expect((await storedSession(service, first)).counter).to.equal(2);
  });

  it("that is newer than the database knows is good, and the counter goes on from it", async () => {
    const first = await signIn(service, person);
    let newest = first.refreshToken;
    for (let turn = 0; turn < 3; turn++) newest = (await refresh(service, newest)).refreshToken;
    await service.database.query("UPDATE sessions SET refresh_counter = 1 WHERE id = $1", claimsOf(first).sid);
    const { refreshToken } = await refresh(service, newest);
    expect((await storedSession(service, first)).counter).to.equal(4);
    expect((await refresh(service, refreshToken)).refreshToken).not.to.equal(refreshToken);
  });

  it("raises the end of the session's latest access token, as the sign-in has set it", async () => {
    const first = await signIn(service, person);
    const latestEnd = async () => Math.round((await storedSession(service, first)).accessEnd + service.clock.offset);
    expect(await latestEnd()).to.be.within(claimsOf(first).exp * 1000, claimsOf(first).exp * 1000 + SECOND);
    await passTime(service, DAY / 2);
    const { exp } = claimsOf(await refresh(service, first.refreshToken));
    expect(exp).to.be.at.least(claimsOf(first).exp + 43_200);
    expect(await latestEnd()).to.be.within(exp * 1000, exp * 1000 + SECOND);
  });

  it("that was the current one until just now gives the same successor again, and nothing else moves", async () => {
    const first = await signIn(service, person);
    const second = await refresh(service, first.refreshToken);
    const before = await storedSession(service, first);
    await passTime(service, GRACE - SECOND);
    const again = await refresh(service, first.refreshToken);
    expect(again.refreshToken).to.equal(second.refreshToken);
    expect(claimsOf(again).jti).not.to.equal(claimsOf(second).jti);
    expect(claimsOf(again).exp).to.be.greaterThan(claimsOf(second).exp);

    const { counter, refreshed, idleEnd, accessEnd } = await storedSession(service, first);
    const moved = (time: number) => Math.round(time + service.clock.offset);
    expect(counter).to.equal(before.counter);
    expect(refreshed).to.be.closeTo(before.refreshed - (GRACE - SECOND), 1);
    expect(idleEnd).to.be.closeTo(before.idleEnd - (GRACE - SECOND), 1);
    expect(moved(accessEnd)).to.be.at.least(claimsOf(again).exp * 1000);
    await refresh(service, again.refreshToken);
  });

  it("that was the current one before the grace ends the session, and the ending stays though the call fails", async () => {
    const first = await signIn(service, person);
    const second = await refresh(service, first.refreshToken);
    await passTime(service, GRACE + SECOND);
    expect(await refusalOfRefresh(first.refreshToken)).to.equal("INVALID_TOKEN");
    await expectEndedByReuse(second);
    expect(await refusalOfRefresh(second.refreshToken)).to.equal("INVALID_TOKEN");
  });

  it("that is two turns old ends the session, within the grace as well", async () => {
    const first = await signIn(service, person);
    const second = await refresh(service, first.refreshToken);
    const third = await refresh(service, second.refreshToken);
    expect(await refusalOfRefresh(first.refreshToken)).to.equal("INVALID_TOKEN");
    await expectEndedByReuse(third);
    expect(await refusalOfRefresh(third.refreshToken)).to.equal("INVALID_TOKEN");
  });

  it("ends nothing but its own session when it is replayed", async () => {
    const other = await signIn(service, person);
    const first = await signIn(service, person);
    const second = await refresh(service, first.refreshToken);
    await refresh(service, second.refreshToken);
    expect(await refusalOfRefresh(first.refreshToken)).to.equal("INVALID_TOKEN");
    await service.auth.getMe({}, other.options);
    await refresh(service, other.refreshToken);
  });

  it("is good for thirty idle days, which a refresh begins anew", async () => {
    const first = await signIn(service, person);
    await passTime(service, 30 * DAY - SECOND);
    const second = await refresh(service, first.refreshToken);
    await passTime(service, 30 * DAY - SECOND);
    const third = await refresh(service, second.refreshToken);
    await passTime(service, 30 * DAY);
    expect(await refusalOfRefresh(third.refreshToken)).to.equal("INVALID_TOKEN");
    expect((await storedSession(service, first)).ended).to.equal(false);
  });

  it("does not move the session's end, 180 days after the sign-in, and no token lives longer", async () => {
    let tokens = await signIn(service, person);
    const end = (await storedSession(service, tokens)).end + service.clock.offset;
    expect(end).to.be.closeTo(claimsOf(tokens).iat * 1000 + 180 * DAY, SECOND);
    for (let day = 0; day < 174; day += 29) {
      await passTime(service, 29 * DAY);
      tokens = { ...tokens, ...(await refresh(service, tokens.refreshToken)) };
    }
    await passTime(service, 5.5 * DAY);
    const last = await refresh(service, tokens.refreshToken);
    const stored = await storedSession(service, last);
    expect(stored.end + service.clock.offset).to.be.closeTo(end, 5);
    expect(Number(last.refreshExpireTime?.seconds)).to.be.closeTo(end / 1000, 1);
    expect(claimsOf(last).exp * 1000).to.be.within(end - SECOND, end);
    expect(last.expiresIn).to.be.within(43_000, 43_201);
    await passTime(service, DAY / 2);
    expect(await refusalOfRefresh(last.refreshToken)).to.equal("INVALID_TOKEN");
    const options = { headers: { authorization: `Bearer ${last.accessToken}` } };
    expect(await refusalOf(service.auth.listSessions({}, options))).to.equal("INVALID_TOKEN");
  });

  it("is refused while its account is blocked, and works again when the block ends by itself", async () => {
    const somebody = await signUpConfirmed(service);
    const { refreshToken } = await signIn(service, somebody);
    await service.database.query(
      "UPDATE users SET is_active = false, blocked_until = now() + interval '1 h' WHERE id = $1",
      somebody.id,
    );
    expect(await refusalOfRefresh(refreshToken)).to.equal("INVALID_TOKEN");
    await passTime(service, 3_601 * SECOND);
    await refresh(service, refreshToken);
  });

  it("is refused when its account is gone", async () => {
    const somebody = await signUpConfirmed(service);
    const { refreshToken } = await signIn(service, somebody);
    await service.database.query("DELETE FROM users WHERE id = $1", somebody.id);
    expect(await refusalOfRefresh(refreshToken)).to.equal("INVALID_TOKEN");
  });

  it("is refused after the sign-out of its session, spent or not", async () => {
    const first = await signIn(service, person);
    const second = await refresh(service, first.refreshToken);
    await service.auth.signOut({ refreshToken: first.refreshToken });
    for (const { refreshToken } of [first, second])
      expect(await refusalOfRefresh(refreshToken)).to.equal("INVALID_TOKEN");
    expect((await storedSession(service, first)).endReason).to.equal("signed_out");
  });

  it("carries the roles and the name that the account has by then", async () => {
    const somebody = await signUpConfirmed(service);
    const { refreshToken } = await signIn(service, somebody);
    await service.database.query(
      "UPDATE users SET roles = '{editor}', username = 'Renamed' WHERE id = $1",
      somebody.id,
    );
    const { roles, username } = claimsOf(await refresh(service, refreshToken));
    expect({ roles, username }).to.deep.equal({ roles: ["editor"], username: "Renamed" });
  });

  it("with one letter changed costs no statement", async () => {
    const { refreshToken } = await signIn(service, person);
    const forgeries = [...refreshToken].map(
      (letter, at) => refreshToken.slice(0, at) + other(letter) + refreshToken.slice(at + 1),
    );
    const statements = await statementsOf(async () => {
      for (const forgery of ["", "junk", ...forgeries]) {
        expect(await refusalOfRefresh(forgery)).to.equal("INVALID_TOKEN");
        expect((await service.auth.signOut({ refreshToken: forgery })).signedOut).to.equal(false);
      }
    });
    expect(statements).to.deep.equal([]);
    await refresh(service, refreshToken);
  });

  it("is taken in its one spelling only", async () => {
    let { refreshToken } = await signIn(service, person);
    while (!/-/.test(refreshToken) || !/_/.test(refreshToken))
      ({ refreshToken } = await refresh(service, refreshToken));
    const standard = refreshToken.replaceAll("-", "+").replaceAll("_", "/");
    const spellings = [
      standard,
      refreshToken.replace("-", "+"),
      refreshToken.replace("_", "/"),
      `${refreshToken}=`,
      `${refreshToken}==`,
    ].concat([` ${refreshToken}`, `${refreshToken}\n`, `${refreshToken}A`, refreshToken.replace("-", "-\n")]);
    for (const spelling of spellings) {
      expect(Buffer.from(spelling, "base64url").subarray(0, 57).toString("base64url"), spelling).to.equal(refreshToken);
      expect(await refusalOfRefresh(spelling)).to.equal("INVALID_TOKEN");
    }
    await refresh(service, refreshToken);
  });
});

describe("a refresh token where REFRESH_GRACE is 0", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { refreshGrace: 0 } });
  });
  after(() => service.stop());

  it("is good once: the second use ends the session", async () => {
    const first = await signIn(service, await signUpConfirmed(service));
    const second = await refresh(service, first.refreshToken);
    expect(await refusalOf(refresh(service, first.refreshToken))).to.equal("INVALID_TOKEN");
    expect(await storedSession(service, first)).to.include({ ended: true, endReason: "reused" });
    expect(await refusalOf(refresh(service, second.refreshToken))).to.equal("INVALID_TOKEN");
  });
});

function other(letter: string): string {
  return letter === "A" ? "B" : "A";
}
