import { expect } from "chai";
import { SignOutScope } from "../gen/auth/v1/session_pb.ts";
import { holdLock, type Lock } from "./support/locks.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { bearer, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime, skipMonotonic } from "./support/time.ts";
import { claimsOf, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";
import { untilPolled } from "./support/watching.ts";

type Person = Awaited<ReturnType<typeof signUpConfirmed>>;
type SignedIn = Awaited<ReturnType<typeof signIn>>;

/** Ends the session of somebody who is signed in, at a service. */
type Way = (service: TestService, person: Person, session: SignedIn, admin: SignedIn) => Promise<unknown>;

const WAYS: Readonly<Record<string, Way>> = {
  "a sign-out": ({ auth }, _, { refreshToken }) => auth.signOut({ refreshToken }),
  "a sign-out of all from another device": async (service, person) =>
    service.auth.signOut({ scope: SignOutScope.ALL }, (await signIn(service, person)).options),
  "a sign-out of the others": async (service, person) =>
    service.auth.signOut({ scope: SignOutScope.OTHERS }, (await signIn(service, person)).options),
  "its revocation": ({ auth }, _, session) => auth.revokeSession({ sessionId: claimsOf(session).sid }, session.options),
  "a block": ({ admin }, { id: userId }, _, by) => admin.setUserActive({ userId, isActive: false }, by.options),
  "an admin's revocation": ({ admin }, { id: userId }, _, by) => admin.revokeUserSessions({ userId }, by.options),
  "the removal of a role": async ({ admin }, { id: userId }, _, by) => {
    await admin.setUserRoles({ userId, roles: ["editor"] }, by.options);
    await admin.setUserRoles({ userId, roles: [] }, by.options);
  },
  "a reset": async (service, { email }) => {
    await service.auth.requestPasswordReset({ email });
    const { token } = await readMail(service, email, 2);
    await service.auth.resetPassword({ token, newPassword: "another horse battery" });
  },
  "a change of password on another device": async (service, person) => {
    const { options } = await signIn(service, person);
    const change = { currentPassword: person.password, newPassword: "another horse battery" };
    await service.auth.changePassword(change, options);
  },
  "the deletion of its account": ({ admin }, { id: userId }, _, by) => admin.deleteUser({ userId }, by.options),
  "a replay": async (service, _, { refreshToken }) => {
    const second = await refresh(service, refreshToken);
    await refresh(service, second.refreshToken);
    expect(await refusalOf(refresh(service, refreshToken))).to.equal("INVALID_TOKEN");
  },
};

describe("a live access token", () => {
  let pair: Pair;
  let first: TestService;
  let second: TestService;
  before(async () => {
    pair = await startPair();
    ({ first, second } = pair);
  });
  after(() => pair.stop());

  for (const [name, endBy] of Object.entries(WAYS)) {
    it(`is refused after ${name}: here at once, in another process soon`, async () => {
      const admin = await signInAdmin(first);
      const person = await signUpConfirmed(first);
      const session = await signIn(first, person);
      for (const service of [first, second]) expect(await refusalIn(service, session)).to.equal("");
      await endBy(first, person, session, admin);
      expect(await refusalIn(first, session)).to.equal("INVALID_TOKEN");
      await untilRefusedIn(second, session);
    });
  }

  it("stays refused after a restart", async () => {
    const person = await signUpConfirmed(first);
    const [ended, kept] = [await signIn(first, person), await signIn(first, person)];
    await first.auth.signOut({ refreshToken: ended.refreshToken });
    const { database, clock, mails } = first;
    const restarted = await startService({ database, clock, mails });
    const refusals = [await refusalIn(restarted, ended), await refusalIn(restarted, kept)];
    await restarted.stop();
    expect(refusals).to.deep.equal(["INVALID_TOKEN", ""]);
  });

  it("is refused as long as its revocation is in force, which is then forgotten", async () => {
    const session = await signIn(first, await signUpConfirmed(first));
    const { sid } = claimsOf(session);
    const insert = `INSERT INTO revocations (session_id, expires_at) VALUES ($1, now() + interval '1 min')`;
    await first.database.query(insert, sid);
    for (const service of [first, second]) await untilRefusedIn(service, session);
    await passTime(first, 61_000);
    for (const service of [first, second]) expect(await refusalIn(service, session)).to.equal("");
    const { database, clock, mails } = first;
    const restarted = await startService({ database, clock, mails });
    const refusal = await refusalIn(restarted, session);
    await restarted.stop();
    expect(refusal).to.equal("");
  });

  it("is refused though the clock of the process was far ahead for a while", async () => {
    const session = await signIn(first, await signUpConfirmed(first));
    await first.auth.signOut({ refreshToken: session.refreshToken });
    await untilRefusedIn(second, session);
    const realNow = Date.now;
    Date.now = () => realNow() + 40 * 86_400_000;
    const back = skipMonotonic(61_000);
    try {
      await untilPolled(first);
    } finally {
      back();
      Date.now = realNow;
    }
    for (const service of [first, second]) expect(await refusalIn(service, session)).to.equal("INVALID_TOKEN");
  });

  it("is refused when its revocation commits later than others that were begun after it", async () => {
    const person = await signUpConfirmed(first);
    const writers: { session: SignedIn; lock: Lock }[] = [];
    const open = async () => {
      const session = await signIn(first, person);
      const values = `'${claimsOf(session).sid}', now() + interval '1 day'`;
      const lock = await holdLock(first, `INSERT INTO revocations (session_id, expires_at) VALUES (${values})`);
      writers.push({ session, lock });
    };
    for (let turn = 0; turn < 5; turn++) await open();
    try {
      // The one that was begun first commits last.
      for (const { session, lock } of writers.toReversed()) {
        const early = await signIn(first, person);
        await first.auth.signOut({ refreshToken: early.refreshToken });
        await untilRefusedIn(second, early);
        expect(await refusalIn(second, session)).to.equal("");
        writers.pop();
        await lock.release();
        await untilRefusedIn(second, session);
      }
    } finally {
      for (const { lock } of writers) await lock.release();
    }
  });
});

describe("fifty sign-outs", () => {
  let service: TestService;
  let other: ServiceProcess;
  let person: Person;
  before(async () => {
    service = await startService();
    person = await signUpConfirmed(service);
    other = await startProcess(service.database);
  });
  after(async () => {
    await other?.stop();
    await service.stop();
  });

  it("are each known to another process within a moment", async () => {
    for (let round = 0; round < 50; round++) {
      const session = await signIn(service, person);
      expect(await refusalIn(other, session)).to.equal("");
      await service.auth.signOut({ refreshToken: session.refreshToken });
      await untilRefusedIn(other, session);
    }
  });
});

/** Of a call for which memory and signature are asked and nothing else. */
function refusalIn({ auth }: Pick<TestService, "auth">, { accessToken }: { accessToken: string }): Promise<string> {
  return refusalOf(auth.listSessions({}, bearer(accessToken)));
}

async function untilRefusedIn(service: Pick<TestService, "auth">, session: { accessToken: string }): Promise<void> {
  await waitUntil(async () => (await refusalIn(service, session)) === "INVALID_TOKEN");
}
