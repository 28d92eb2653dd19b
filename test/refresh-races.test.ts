import { expect } from "chai";
import { bearer, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { type ServiceProcess, startProcess } from "./support/process.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { refresh, storedSession } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const FIFTY = Array.from({ length: 50 }, (_, index) => index);

describe("fifty refreshes of one token at once, in two processes", () => {
  let service: TestService;
  let other: ServiceProcess;
  let person: Awaited<ReturnType<typeof signUpConfirmed>>;
  before(async () => {
    service = await startService();
    // Before the other process is there to send the mail.
    person = await signUpConfirmed(service);
    other = await startProcess(service.database);
  });
  after(async () => {
    await other?.stop();
    await service.stop();
  });

  const at = (index: number) => (index % 2 === 0 ? service : other);
  const refreshFifty = (refreshToken: string) =>
    Promise.allSettled(FIFTY.map((index) => refresh(at(index), refreshToken)));

  it("all succeed with the same successor, turn after turn, and nobody is signed out", async () => {
    const first = await signIn(service, person);
    let { refreshToken } = first;
    for (let turn = 1; turn <= 5; turn++) {
      const settled = await refreshFifty(refreshToken);
      const given = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect(given).to.have.length(50);
      const successors = new Set(given.map((tokens) => tokens.refreshToken));
      expect(successors.size).to.equal(1);
      expect(successors.has(refreshToken)).to.equal(false);
      [refreshToken = ""] = successors;
      expect(await storedSession(service, first)).to.include({ counter: turn, ended: false });
      for (const index of [0, 1]) await at(index).auth.getMe({}, bearer(given[index]?.accessToken ?? ""));
    }
  });

  it("all succeed with the one token where it is fixed", async () => {
    const { username: login, password } = person;
    const { tokens } = await service.auth.signIn({ login, password, fixedRefreshToken: true });
    const { refreshToken = "" } = tokens ?? {};
    const settled = await refreshFifty(refreshToken);
    expect(settled.map((result) => result.status === "fulfilled" && result.value.refreshToken)).to.deep.equal(
      FIFTY.map(() => refreshToken),
    );
  });

  it("after the grace all fail, and the session is ended in the process that none was sent to", async () => {
    const first = await signIn(service, person);
    const { accessToken, refreshToken } = await refresh(other, first.refreshToken);
    await other.auth.listSessions({}, bearer(accessToken));
    await passTime(service, 31_000);
    const settled = await Promise.allSettled(FIFTY.map(() => refusalOf(refresh(service, first.refreshToken))));
    expect(new Set(settled.map((result) => result.status === "fulfilled" && result.value))).to.deep.equal(
      new Set(["INVALID_TOKEN"]),
    );
    expect(await storedSession(service, first)).to.include({ ended: true, endReason: "reused" });
    const refusal = () => refusalOf(other.auth.listSessions({}, bearer(accessToken)));
    await waitUntil(async () => (await refusal()) === "INVALID_TOKEN");
    expect(await refusalOf(refresh(other, refreshToken))).to.equal("INVALID_TOKEN");
  });
});
