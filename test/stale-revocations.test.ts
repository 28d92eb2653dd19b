import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "chai";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { refusalOf, signIn, signInAdmin } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { skipMonotonic } from "./support/time.ts";
import { claimsOf, refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

describe("when the revocations cannot be read", () => {
  let service: TestService;
  let admin: Awaited<ReturnType<typeof signInAdmin>>;
  let setBack: () => void = () => {};
  beforeEach(async () => {
    service = await startService();
    admin = await signInAdmin(service);
  });
  afterEach(async () => {
    setBack();
    await service.stop();
  });

  const bearerCalls = () => [
    service.auth.getMe({}, admin.options),
    service.auth.listSessions({}, admin.options),
    service.auth.signOut({}, admin.options),
    service.admin.listUsers({}, admin.options),
  ];
  const isServed = async () => (await refusalOf(service.auth.getMe({}, admin.options))) === "";
  const logged = (message: string) => service.lines.filter((line) => JSON.parse(line).message === message);

  async function breakTable(): Promise<void> {
    await service.database.query("ALTER TABLE revocations RENAME TO mislaid");
    await waitUntil(() => logged("revocations cannot be read").length > 0);
  }

  it("bearer calls are answered for ten seconds from what is known, then UNAVAILABLE rather than a stale yes", async () => {
    await breakTable();
    expect(await isServed()).to.equal(true);
    setBack = skipMonotonic(9_000);
    expect(await isServed()).to.equal(true);
    setBack();
    setBack = skipMonotonic(11_000);
    for (const call of bearerCalls()) {
      const error = await call.then(() => null, ConnectError.from);
      expect(error?.code).to.equal(Code.Unavailable);
      expect(await refusalOf(call)).to.equal("UNAVAILABLE");
    }
    const { refreshToken } = await refresh(service, admin.refreshToken);
    expect(refreshToken).not.to.equal(admin.refreshToken);
    expect(await refusalOf(service.auth.getMe({}))).to.equal("INVALID_TOKEN");
  });

  it("they come back by themselves, with what was revoked in the meantime, and the log tells each turn once", async () => {
    const other = await signIn(service, admin);
    await breakTable();
    setBack = skipMonotonic(11_000);
    expect(await isServed()).to.equal(false);
    // As in a database that was put back from a copy: older than anything that has been read.
    const insert = "INSERT INTO mislaid (session_id, tx, expires_at) VALUES ($1, '3', now() + interval '1 day')";
    await service.database.query(insert, claimsOf(other).sid);
    await service.database.query("ALTER TABLE mislaid RENAME TO revocations");
    await waitUntil(isServed);
    expect(await refusalOf(service.auth.listSessions({}, other.options))).to.equal("INVALID_TOKEN");
    expect(logged("revocations cannot be read")).to.have.length(1);
    expect(logged("revocations are known again")).to.have.length(1);
  });

  it("because the database hangs, it is the same: UNAVAILABLE while it does, and served again after", async () => {
    const lock = await holdLock(service, "LOCK TABLE revocations");
    await untilBlocked(service);
    expect(await isServed()).to.equal(true);
    setBack = skipMonotonic(11_000);
    expect(await isServed()).to.equal(false);
    await lock.release();
    await waitUntil(isServed);
  });
});
