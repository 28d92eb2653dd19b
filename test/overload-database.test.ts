import { expect } from "chai";
import { from, limited } from "./support/limits.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
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
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  const holdUp = () => holdLock(service, "LOCK TABLE throttle IN ACCESS EXCLUSIVE MODE");

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
    const lock = await holdUp();
    const calls = crowd();
    await untilBlocked(service, AT_ONCE);
    expect((await refresh(service, refreshToken)).refreshToken).not.to.equal(refreshToken);
    expect((await service.auth.getMe({}, options)).user?.id).to.equal(person.id);
    const blocked = await service.database.query("SELECT 1 FROM pg_locks WHERE NOT granted");
    expect(blocked).to.have.length(AT_ONCE);
    await lock.release();
    expect(new Set(await Promise.all(calls))).to.deep.equal(new Set(["INVALID_CREDENTIALS", ""]));
  });

  it("ask the database nothing when they have left before their turn", async () => {
    const person = await signUpConfirmed(service);
    const callers = new AbortController();
    const lock = await holdUp();
    const calls = crowd(callers.signal);
    await untilBlocked(service, AT_ONCE);
    callers.abort();
    await Promise.all(calls);
    const statements = await statementsOf(async () => {
      await lock.release();
      await signIn(service, person);
    });
    // Those that had begun give their counts back.
    expect(statements.filter((text) => text.includes("throttle")).length).to.be.below(CROWD / 2);
  });

  it("wait no longer for their turn than for a connection", async () => {
    const lock = await holdLock(service, "LOCK TABLE throttle IN ACCESS EXCLUSIVE MODE");
    const calls = Array.from({ length: CROWD }, (_, index) =>
      refusalOf(service.auth.signIn({ login: newPerson().username, ...GUESS }, from(`203.0.113.${index}`))),
    );
    const waiting = new Set(calls);
    const { promise: othersRefused, resolve } = Promise.withResolvers<void>();
    for (const call of calls) {
      void call.then((reason) => {
        if (reason === "UNAVAILABLE" && waiting.delete(call) && waiting.size === AT_ONCE) resolve();
      });
    }
    await othersRefused;
    const blocked = await service.database.query("SELECT 1 FROM pg_locks WHERE NOT granted");
    expect(blocked).to.have.length(AT_ONCE);
    await lock.release();
    expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(["INVALID_CREDENTIALS"]));
  });
});
