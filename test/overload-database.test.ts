import { expect } from "chai";
import { from, limited } from "./support/limits.ts";
import { countBlocked, holdLock, type Lock, untilBlocked } from "./support/locks.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { refresh } from "./support/tokens.ts";

/** Of a pool of ten connections. */
const AT_ONCE = 2;
const CROWD = 20;
const GUESS = { password: PASSWORD };

describe("sign-ins and sign-ups that the database keeps waiting", () => {
  let service: TestService;
  let lock: Lock | undefined;
  before(async () => {
    service = await startService({ config: limited() });
  });
  afterEach(() => lock?.release());
  after(() => service.stop());

  const holdUp = async (table: string) => {
    lock = await holdLock(service, `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  };
  const letGo = async () => {
    await lock?.release();
    lock = undefined;
  };

  /** As many of the ones as of the others, of people whom nobody knows, each from an address of its own. */
  const crowd = (signal?: AbortSignal) =>
    Array.from({ length: CROWD }, (_, index) => {
      const [person, options] = [newPerson(), { ...from(`198.51.100.${index}`), ...(signal && { signal }) }];
      const { signUp, signIn } = service.auth;
      return refusalOf(index % 2 ? signUp(person, options) : signIn({ login: person.username, ...GUESS }, options));
    });

  it("have two of ten connections, and every other call is answered meanwhile", async () => {
    const person = await signUpConfirmed(service);
    const { refreshToken, options } = await signIn(service, person);
    await holdUp("throttle");
    const calls = crowd();
    await untilBlocked(service, AT_ONCE);
    expect((await refresh(service, refreshToken)).refreshToken).not.to.equal(refreshToken);
    expect((await service.auth.getMe({}, options)).user?.id).to.equal(person.id);
    expect(await countBlocked(service)).to.equal(AT_ONCE);
    await letGo();
    expect(new Set(await Promise.all(calls))).to.deep.equal(new Set(["INVALID_CREDENTIALS", ""]));
  });

  it("have no more of them for looking up accounts", async () => {
    const { database, mails } = service;
    await using started = new AsyncDisposableStack();
    const unlimited = started.adopt(await startService({ database, mails }), ({ stop }) => stop());
    const { options } = await signIn(unlimited, await signUpConfirmed(unlimited));
    // The pool has all its connections open then.
    await Promise.all(Array.from({ length: CROWD }, () => unlimited.auth.getMe({}, options)));
    await holdUp("users");
    const calls = Array.from({ length: CROWD }, () => refusalOf(unlimited.auth.signIn({ login: "nobody", ...GUESS })));
    await untilBlocked(service, AT_ONCE);
    await refusalOf(unlimited.auth.refreshToken({}));
    expect(await countBlocked(service)).to.equal(AT_ONCE);
    await letGo();
    expect(new Set(await Promise.all(calls))).to.deep.equal(new Set(["INVALID_CREDENTIALS"]));
  });

  it("are told so when it has had no time for them in five seconds", async () => {
    await holdUp("throttle");
    const [first, second, ...others] = crowd();
    expect(new Set(await Promise.all(others))).to.deep.equal(new Set(["UNAVAILABLE"]));
    await letGo();
    expect(await Promise.all([first, second])).to.deep.equal(["INVALID_CREDENTIALS", ""]);
  });

  it("ask the database nothing when they have left before their turn", async () => {
    const person = await signUpConfirmed(service);
    const callers = new AbortController();
    await holdUp("throttle");
    const calls = crowd(callers.signal);
    await untilBlocked(service, AT_ONCE);
    callers.abort();
    await Promise.all(calls);
    const statements = await statementsOf(async () => {
      await letGo();
      await signIn(service, person);
    });
    // Those that had begun give their counts back.
    expect(statements.filter((text) => text.includes("throttle")).length).to.be.below(CROWD / 2);
  });
});
