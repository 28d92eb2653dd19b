import { expect } from "chai";
import { type Pair, startPair } from "./support/pair.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import type { TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { claimsOf, refresh } from "./support/tokens.ts";

const ROUNDS = 20;
const TWENTY = Array.from({ length: 20 }, (_, index) => index);

type Change = Parameters<TestService["auth"]["updateMe"]>[0];
type Options = { readonly headers: Record<string, string> };

describe("a change of one's own account", () => {
  let pair: Pair;
  let service: TestService;
  before(async () => {
    pair = await startPair();
    service = pair.first;
  });
  after(() => pair.stop());

  const update = async (options: Options, change: Change) => (await service.auth.updateMe(change, options)).user;
  const attempt = (options: Options, change: Change, at = service) => refusalOf(at.auth.updateMe(change, options));
  const signInWith = (login: string) => refusalOf(service.auth.signIn({ login, password: PASSWORD }));

  async function signedIn(person = newPerson()) {
    const member = await signUpConfirmed(service, person);
    return { ...member, ...(await signIn(service, member)) };
  }

  it("changes what is given and leaves the rest as it is", async () => {
    const { user, options } = await signedIn();
    const { username } = newPerson();
    expect(await update(options, { locale: "de-at" })).to.deep.equal({ ...user, locale: "de-AT" });
    expect(await update(options, { username })).to.deep.equal({ ...user, locale: "de-AT", username });
    expect(await update(options, {})).to.deep.equal({ ...user, locale: "de-AT", username });
    expect(await update(options, { locale: "" })).to.deep.equal({ ...user, username });
    expect((await service.auth.getMe({}, options)).user).to.deep.equal({ ...user, username });
  });

  it("makes the new username sign in, and frees the old one at once", async () => {
    const { username: old, options } = await signedIn();
    const { username } = newPerson();
    await update(options, { username });
    expect([await signInWith(username), await signInWith(old)]).to.deep.equal(["", "INVALID_CREDENTIALS"]);
    await service.auth.signUp({ ...newPerson(), username: old });
    expect(await attempt(options, { username: old })).to.equal("USERNAME_TAKEN");
  });

  it("shows in the access tokens of the next refresh", async () => {
    const { username: old, options, accessToken, refreshToken } = await signedIn();
    const { username } = newPerson();
    await update(options, { username });
    expect(claimsOf({ accessToken }).username).to.equal(old);
    expect(claimsOf(await refresh(service, refreshToken)).username).to.equal(username);
  });

  it("can change the case of one's own username alone", async () => {
    const { username, options } = await signedIn();
    const user = await update(options, { username: username.toUpperCase() });
    expect(user?.username).to.equal(username.toUpperCase());
    expect(await signInWith(username)).to.equal("");
  });

  it("is refused a username that somebody has, in whatever case, and then changes nothing", async () => {
    const [{ user, options }, other] = [await signedIn(), await signUpConfirmed(service)];
    for (const username of [other.username, other.username.toUpperCase()]) {
      expect(await attempt(options, { username, locale: "de" })).to.equal("USERNAME_TAKEN");
    }
    expect((await service.auth.getMe({}, options)).user).to.deep.equal(user);
  });

  it("takes the usernames and languages that a sign-up takes, and names each faulty field", async () => {
    const { user, options } = await signedIn();
    const refused = {
      ...{ "": "REQUIRED", " ": "REQUIRED", a: "TOO_SHORT", ["x".repeat(65)]: "TOO_LONG", "a b": "MALFORMED" },
      ...{ "a@b": "MALFORMED", "ada\0": "MALFORMED", "\uff41\uff44\uff41": "MALFORMED", "<b>": "MALFORMED" },
    };
    for (const [username, reason] of Object.entries(refused)) {
      const call = service.auth.updateMe({ username, locale: "no locale" }, options);
      expect(await faultsOf(call), username).to.deep.equal({ username: reason, locale: "MALFORMED" });
    }
    expect((await service.auth.getMe({}, options)).user).to.deep.equal(user);
  });

  it("sets nothing else, whatever is sent", async () => {
    const { user, options } = await signedIn();
    for (const member of ["id", "email", "roles", "isActive", "emailConfirmed"]) {
      const body = JSON.stringify({ username: newPerson().username, [member]: member === "roles" ? ["admin"] : "1" });
      const headers = { ...options.headers, "content-type": "application/json" };
      const url = `${service.httpUrl}/auth.v1.AuthService/UpdateMe`;
      expect((await fetch(url, { method: "POST", headers, body })).status, member).to.equal(400);
    }
    expect((await service.auth.getMe({}, options)).user).to.deep.equal(user);
  });

  it("is refused once the account is blocked or the session has ended, before this process has heard of it", async () => {
    const [blocked, ended] = [await signedIn(), await signedIn()];
    await service.database.query("UPDATE users SET is_active = false WHERE id = $1", blocked.id);
    const end = "UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE user_id = $1";
    await service.database.query(end, ended.id);
    for (const { options, email } of [blocked, ended]) {
      expect(await attempt(options, { username: newPerson().username })).to.equal("INVALID_TOKEN");
      const rows = await service.database.query(
        "SELECT username || '@example.com' AS e FROM users WHERE email = $1",
        email,
      );
      expect(rows).to.deep.equal([{ e: email }]);
    }
  });

  it("greets by the new name in the next mail", async () => {
    const { email, options } = await signedIn();
    const { username } = newPerson();
    await update(options, { username });
    await service.auth.requestPasswordReset({ email });
    expect((await readMail(service, email, 2)).text).to.include(`Hello ${username},`);
  });

  it("is seen by admins, and found by the new name", async () => {
    const admin = await signInAdmin(service);
    const { id, options } = await signedIn();
    const { username } = newPerson();
    const user = await update(options, { username });
    expect((await service.admin.getUser({ userId: id }, admin.options)).user).to.deep.equal(user);
    const { users } = await service.admin.listUsers({ prefix: username }, admin.options);
    expect(users.map((found) => found.id)).to.deep.equal([id]);
  });

  it("is one statement, which a change of name has behind a lock", async () => {
    const { options } = await signedIn();
    const wordsOf = async (change: object) =>
      (await statementsOf(() => update(options, change))).map((statement) => /\w+/.exec(statement)?.[0]);
    expect(await wordsOf({ locale: "fr" })).to.deep.equal(["WITH"]);
    const renaming = await wordsOf({ username: newPerson().username, locale: "de" });
    expect(renaming).to.deep.equal(["START", "SELECT", "WITH", "COMMIT"]);
  });

  it("gives a name that twenty want at once, in two processes, to one of them", async () => {
    const members = await Promise.all(TWENTY.map(() => signedIn()));
    const { username } = newPerson();
    const at = (index: number) => (index % 2 === 0 ? pair.first : pair.second);
    const wishes = members.map(({ options }, index) => attempt(options, { username }, at(index)));
    expect((await Promise.all(wishes)).toSorted()).to.deep.equal(["", ...Array(19).fill("USERNAME_TAKEN")]);
  });

  it("never swaps two names, however often both try at once", async () => {
    const [one, two] = [await signedIn(), await signedIn()];
    for (let round = 0; round < ROUNDS; round++) {
      const refusals = await Promise.all([
        attempt(one.options, { username: two.username }, pair.first),
        attempt(two.options, { username: one.username }, pair.second),
      ]);
      expect(refusals).to.deep.equal(["USERNAME_TAKEN", "USERNAME_TAKEN"]);
    }
  });

  it("holds up nobody else when many swap names at once: nothing deadlocks, and calls of others are answered", async () => {
    const [one, two, other] = [await signedIn(), await signedIn(), await signedIn()];
    const names = [one.username, two.username];
    const deadlocks = async () =>
      (
        await pair.first.database.query(
          "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
        )
      )[0];
    const before = await deadlocks();
    const swaps = Array.from({ length: 200 }, (_, index) =>
      attempt((index % 2 ? one : two).options, { username: names[index % 3 === 0 ? 0 : 1] ?? "" }, pair.first),
    );
    const asks = Array.from({ length: 20 }, () => refusalOf(pair.first.auth.getMe({}, other.options)));
    expect(new Set(await Promise.all(asks))).to.deep.equal(new Set([""]));
    for (const refusal of await Promise.all(swaps)) expect(refusal).to.be.oneOf(["", "USERNAME_TAKEN"]);
    expect(await deadlocks()).to.deep.equal(before);
  });
});
