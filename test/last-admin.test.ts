import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect } from "chai";
import { now } from "../src/clock.ts";
import { refusalOf, signIn, signInAdmin } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";

describe("the last active admin", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  beforeEach(async () => {
    await service.database.query("UPDATE users SET roles = '{}'");
  });
  after(() => service.stop());

  const block = (userId: bigint, by: { options: object }, ms?: number) =>
    refusalOf(
      service.admin.setUserActive(
        { userId, isActive: false, ...(ms && { untilTime: timestampFromMs(now(service.clock) + ms) }) },
        by.options,
      ),
    );
  const demote = (userId: bigint, by: { options: object }) =>
    refusalOf(service.admin.setUserRoles({ userId, roles: ["reader"] }, by.options));
  const remove = (userId: bigint, by: { options: object }) =>
    refusalOf(service.admin.deleteUser({ userId }, by.options));
  const activeAdmins = () =>
    service.database.query("SELECT id FROM users WHERE 'admin' = ANY (roles) AND is_active ORDER BY id");

  it("can be neither blocked, demoted nor deleted, and keeps the session", async () => {
    const admin = await signInAdmin(service);
    expect(await block(admin.id, admin)).to.equal("LAST_ADMIN");
    expect(await block(admin.id, admin, 1_000)).to.equal("LAST_ADMIN");
    expect(await demote(admin.id, admin)).to.equal("LAST_ADMIN");
    expect(await remove(admin.id, admin)).to.equal("LAST_ADMIN");
    expect((await service.auth.getMe({}, admin.options)).user?.roles).to.deep.equal(["admin"]);
  });

  it("is not who has another active one beside, even for blocking oneself", async () => {
    const [first, second] = [await signInAdmin(service), await signInAdmin(service)];
    expect(await block(first.id, first)).to.equal("");
    expect(await block(second.id, second)).to.equal("LAST_ADMIN");
  });

  it("is who has only a blocked one beside, until that block ends", async () => {
    const [first, second] = [await signInAdmin(service), await signInAdmin(service)];
    expect(await block(first.id, second, 60_000)).to.equal("");
    expect(await demote(second.id, second)).to.equal("LAST_ADMIN");
    await passTime(service, 61_000);
    expect(await demote(second.id, second)).to.equal("");
  });

  it("stays when two admins block, demote or delete each other at once", async () => {
    for (let round = 0; round < 15; round++) {
      await service.database.query("UPDATE users SET roles = '{}'");
      const [first, second] = [await signInAdmin(service), await signInAdmin(service)];
      const turn = [block, demote, remove][round % 3] ?? block;
      await Promise.allSettled([turn(first.id, second), turn(second.id, first)]);
      expect(await activeAdmins()).to.have.length(1);
    }
  });

  it("stays when fifty admins demote themselves at once", async () => {
    const person = await signInAdmin(service);
    await service.database.query(
      `INSERT INTO users (username, username_key, email, email_key, password_hash, email_confirmed_at, roles)
       SELECT n, n, n || '@x.io', n || '@x.io', password_hash, now(), '{admin}'
       FROM users, (SELECT 'many' || generate_series(1, 49) AS n) AS names WHERE id = $1`,
      person.id,
    );
    const usernames = Array.from({ length: 49 }, (_, i) => `many${i + 1}`);
    const admins = await Promise.all(usernames.map((username) => signIn(service, { ...person, username })));
    const all = [person, ...admins].map(({ user, options }) => ({ id: user.id, options }));
    const refusals = await Promise.all(all.map((admin) => demote(admin.id, admin)));
    expect(refusals.filter((refusal) => refusal === "LAST_ADMIN")).to.have.length(1);
    expect(await activeAdmins()).to.have.length(1);
  });
});
