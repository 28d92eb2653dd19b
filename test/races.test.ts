import { expect } from "chai";
import { SignOutScope, type Tokens } from "../gen/auth/v1/session_pb.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { bearer, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import type { TestService } from "./support/service.ts";
import { claimsOf, countLive, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const ROUNDS = 100;
const LONGEST_CHAIN = 500;
const LONGEST = 60_000;

describe("in two processes at once, a hundred rounds of", () => {
  let pair: Pair;
  let first: TestService;
  let second: TestService;
  before(async () => {
    pair = await startPair();
    ({ first, second } = pair);
  });
  after(() => pair.stop());

  it("two sign-outs of the others leave one of the two alive", async () => {
    const person = await signUpConfirmed(first);
    for (let round = 0; round < ROUNDS; round++) {
      const sessions = await Promise.all([signIn(first, person), signIn(second, person)]);
      const outs = sessions.map(({ refreshToken }, index) =>
        (index === 0 ? first : second).auth.signOut({ refreshToken, scope: SignOutScope.OTHERS }),
      );
      expect((await Promise.all(outs)).filter(({ signedOut }) => signedOut)).to.have.length(1);
      expect(await countLive(first, person.id)).to.equal(1);
    }
  });

  it("sign-out against refreshes leave no session alive", async () => {
    const person = await signUpConfirmed(first);
    const all: Tokens[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [one, two] = await Promise.all([signIn(first, person), signIn(second, person)]);
      const scope = round % 2 === 0 ? SignOutScope.ALL : SignOutScope.SESSION;
      const { refreshToken } = one;
      const outs = scope === SignOutScope.ALL ? [one] : [one, two];
      const handedOut = await race(round, [
        () => keepRefreshing(first, one),
        () => keepRefreshing(second, two),
        ...outs.map((tokens) => () => signOut(second, tokens.refreshToken, scope)),
      ]);
      await expectNothingLeft(person, handedOut);
      expect((await first.auth.signOut({ refreshToken })).signedOut).to.equal(false);
      all.push(...handedOut);
    }
    await expectDead(all);
  }).timeout(LONGEST);

  it("block against refreshes and sign-ins leave no session alive", async () => {
    const admin = await signInAdmin(first);
    const person = await signUpConfirmed(first);
    const setActive = (isActive: boolean) => first.admin.setUserActive({ userId: person.id, isActive }, admin.options);
    const all: Tokens[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [one, two] = await Promise.all([signIn(first, person), signIn(second, person)]);
      const handedOut = await race(round, [
        () => keepRefreshing(first, one),
        () => keepRefreshing(second, two),
        () => trySignIn(first, person, "USER_BLOCKED"),
        () => trySignIn(second, person, "USER_BLOCKED"),
        () => setActive(false).then(() => []),
      ]);
      await expectNothingLeft(person, handedOut);
      await setActive(true);
      all.push(...handedOut);
    }
    await expectDead(all);
  }).timeout(LONGEST);

  it("reset against refreshes and sign-ins with the old password leave no session alive", async () => {
    let person = await signUpConfirmed(first);
    const all: Tokens[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await second.auth.requestPasswordReset({ email: person.email });
      const { token } = await readMail(first, person.email, round + 2);
      const [one, two] = await Promise.all([signIn(first, person), signIn(second, person)]);
      const newPassword = `${round} horse batteries`;
      const handedOut = await race(round, [
        () => keepRefreshing(first, one),
        () => keepRefreshing(second, two),
        () => trySignIn(first, person, "INVALID_CREDENTIALS"),
        () => trySignIn(second, person, "INVALID_CREDENTIALS"),
        () => second.auth.resetPassword({ token, newPassword }).then(() => []),
      ]);
      await expectNothingLeft(person, handedOut);
      person = { ...person, password: newPassword };
      all.push(...handedOut);
    }
    await expectDead(all);
  }).timeout(LONGEST);

  it("a change of password against refreshes and sign-ins with the old one leave the session that asked alone", async () => {
    let person = await signUpConfirmed(first);
    const asking = await signIn(first, person);
    const all: Tokens[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [one, two] = await Promise.all([signIn(first, person), signIn(second, person)]);
      const newPassword = `${round} horse batteries`;
      const change = { currentPassword: person.password, newPassword };
      const handedOut = await race(round, [
        () => keepRefreshing(first, one),
        () => keepRefreshing(second, two),
        () => trySignIn(first, person, "INVALID_CREDENTIALS"),
        () => trySignIn(second, person, "INVALID_CREDENTIALS"),
        () => second.auth.changePassword(change, asking.options).then(() => []),
      ]);
      expect(await countLive(first, person.id)).to.equal(1);
      await expectRefused(handedOut);
      person = { ...person, password: newPassword };
      all.push(...handedOut);
    }
    for (const { auth } of [first, second]) await auth.getMe({}, asking.options);
    await refresh(first, asking.refreshToken);
    await expectDead(all);
  }).timeout(LONGEST);

  it("deletion against refreshes and sign-ins leave nothing alive", async () => {
    const admin = await signInAdmin(first);
    const all: Tokens[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const person = await signUpConfirmed(first);
      const [one, two] = await Promise.all([signIn(first, person), signIn(second, person)]);
      const handedOut = await race(round, [
        () => keepRefreshing(first, one),
        () => keepRefreshing(second, two),
        () => trySignIn(first, person, "INVALID_CREDENTIALS"),
        () => trySignIn(second, person, "INVALID_CREDENTIALS"),
        () => second.admin.deleteUser({ userId: person.id }, admin.options).then(() => []),
      ]);
      await expectRefused(handedOut);
      all.push(...handedOut);
    }
    const orphans = "SELECT 1 FROM sessions WHERE user_id NOT IN (SELECT id FROM users)";
    expect(await first.database.query(orphans)).to.deep.equal([]);
    await expectDead(all);
  }).timeout(LONGEST);

  it("sign-out of all against refreshes leave the sign-in that comes after it, in both processes", async () => {
    const person = await signUpConfirmed(first);
    for (let round = 0; round < ROUNDS; round++) {
      const one = await signIn(first, person);
      const later: Tokens[] = [];
      await race(round, [
        () => keepRefreshing(first, one),
        async () => {
          await signOut(second, one.refreshToken, SignOutScope.ALL);
          later.push(await signIn(second, person));
          return [];
        },
      ]);
      const [kept] = later;
      expect(await countLive(first, person.id)).to.equal(1);
      for (const { auth } of [first, second]) await auth.getMe({}, bearer(kept?.accessToken ?? ""));
      await refresh(first, kept?.refreshToken ?? "");
      await second.auth.signOut({ refreshToken: kept?.refreshToken ?? "" });
    }
  }).timeout(LONGEST);

  /** Afterwards: every session of the account has ended, and no refresh token that was handed out works. */
  async function expectNothingLeft({ id }: { readonly id: bigint }, handedOut: readonly Tokens[]): Promise<void> {
    expect(await countLive(first, id)).to.equal(0);
    await expectRefused(handedOut);
  }

  /** No refresh token that was handed out works. */
  async function expectRefused(handedOut: readonly Tokens[]): Promise<void> {
    const newest = new Map(handedOut.map((tokens) => [claimsOf(tokens).sid, tokens.refreshToken]));
    const refusals = await Promise.all([...newest.values()].map((token) => refusalOf(refresh(first, token))));
    expect(new Set(refusals)).to.deep.equal(new Set(["INVALID_TOKEN"]));
  }

  /** No access token works in either process, and each is revoked for longer than it would have lived. */
  async function expectDead(tokens: readonly Tokens[]): Promise<void> {
    const rows = await first.database.query<{ sid: string; end: number }>(
      `SELECT session_id AS sid, extract(epoch FROM expires_at)::float8 AS "end" FROM revocations`,
    );
    const ends = new Map(rows.map(({ sid, end }) => [sid, end]));
    for (const token of tokens) expect(ends.get(claimsOf(token).sid)).to.be.at.least(claimsOf(token).exp + 30);
    const newest = [...new Map(tokens.map((token) => [claimsOf(token).sid, token.accessToken])).values()];
    for (const service of [first, second]) {
      const refusals = () =>
        Promise.all(newest.map((token) => refusalOf(service.auth.listSessions({}, bearer(token)))));
      await waitUntil(async () => (await refusals()).every((refusal) => refusal === "INVALID_TOKEN"));
    }
  }
});

/** Starts all of the calls at once, each round another one first; gives the tokens that were handed out. */
async function race(round: number, calls: readonly (() => Promise<readonly Tokens[]>)[]): Promise<Tokens[]> {
  const turn = round % calls.length;
  const results = await Promise.allSettled([...calls.slice(turn), ...calls.slice(0, turn)].map((call) => call()));
  return results.flatMap((result) => {
    if (result.status === "rejected") throw result.reason;
    return [...result.value];
  });
}

/** Refreshes turn after turn until it is refused, as it must be once the session has ended. */
async function keepRefreshing(service: TestService, begun: Tokens): Promise<Tokens[]> {
  const chain = [begun];
  for (let refusal = ""; refusal === ""; ) {
    expect(chain).to.have.length.below(LONGEST_CHAIN);
    const next = refresh(service, chain.at(-1)?.refreshToken ?? "");
    refusal = await refusalOf(next);
    expect(refusal).to.be.oneOf(["", "INVALID_TOKEN"]);
    if (refusal === "") chain.push(await next);
  }
  return chain;
}

/** Signs in if it can, and is refused with the reason else. */
async function trySignIn(service: TestService, person: { username: string; password: string }, reason: string) {
  const tokens = signIn(service, person);
  const refusal = await refusalOf(tokens);
  expect(refusal).to.be.oneOf(["", reason]);
  return refusal === "" ? [await tokens] : [];
}

async function signOut({ auth }: TestService, refreshToken: string, scope: SignOutScope): Promise<[]> {
  expect((await auth.signOut({ refreshToken, scope })).signedOut).to.equal(true);
  return [];
}
