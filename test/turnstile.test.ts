import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { ADDRESS_LOCKS } from "../src/db/advisory-locks.ts";
import { postForm, postJson } from "./support/http.ts";
import { from } from "./support/limits.ts";
import { holdLock, untilBlocked } from "./support/locks.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";
import { waysIn } from "./support/ways-in.ts";

/** Of a pool of ten connections. */
const TURNS = 2;
const PLACES = TURNS * 33;
const CROWD = "198.51.100.1";

const { requestPasswordReset, requestEmailConfirmation, confirmEmail } = AuthService.method;

describe("strangers who ask for mails or guess codes, while the database keeps them waiting,", () => {
  let service: TestService;
  let email: string;
  before(async () => {
    service = await startService({ config: { trustedProxies: ["127.0.0.1"] } });
  });
  beforeEach(async () => {
    ({ email } = await signUpConfirmed(service));
  });
  after(() => service.stop());

  /** Holds up whatever is asked about an address. */
  const holdUp = () =>
    holdLock(service, `SELECT pg_advisory_xact_lock(hashtextextended('${email}', ${ADDRESS_LOCKS}))`);

  const countResets = async () => (await mailedTo(service, email)).filter((mail) => mail === "reset-password").length;

  /** So many calls at once about the address, on connections enough for all. */
  function crowd(count: number, { signal, address = CROWD }: { signal?: AbortSignal; address?: string } = {}) {
    const clients = Array.from({ length: Math.ceil(count / 90) }, () =>
      createClient(AuthService, createGrpcTransport({ baseUrl: service.grpcUrl })),
    );
    const options = { ...from(address), ...(signal && { signal }) };
    return Array.from({ length: count }, (_, index) => {
      const client = clients[index % clients.length] ?? service.auth;
      return refusalOf(client.requestPasswordReset({ email }, options));
    });
  }

  // The first of them: it counts what the audit log tells in all.
  it("are in the audit log when they are refused, each time", async () => {
    const countOf = async (type: string) => {
      const sql =
        "SELECT coalesce(sum(count), 0)::int AS count FROM audit_events WHERE type = $1 AND reason = 'OVERLOADED'";
      const [row] = await service.database.query<{ count: number }>(sql, type);
      return row?.count ?? 0;
    };
    const types = ["password_reset_requested", "confirmation_requested", "email_confirmation_failed"];
    const lock = await holdUp();
    const calls = crowd(PLACES + 1);
    expect(await Promise.race(calls)).to.equal("OVERLOADED");
    await refusalOf(service.auth.requestEmailConfirmation({ email }, from(CROWD)));
    await refusalOf(service.auth.confirmEmail({ email, code: "000000" }, from(CROWD)));
    await lock.release();
    await Promise.all(calls);
    const told = () => Promise.all(types.map(countOf));
    await waitUntil(async () => (await told()).every((count) => count > 0));
    expect(await told()).to.deep.equal([1, 1, 1]);
  });

  it("have two of ten connections, and every other call is answered meanwhile", async () => {
    const person = await signUpConfirmed(service);
    const { refreshToken, options } = await signIn(service, person);
    const unconfirmed = newPerson();
    await service.auth.signUp(unconfirmed);
    const { token } = await readMail(service, unconfirmed.email);
    const lock = await holdUp();
    const calls = crowd(PLACES);
    await untilBlocked(service, TURNS);
    expect((await refresh(service, refreshToken)).refreshToken).not.to.equal(refreshToken);
    expect((await service.auth.getMe({}, options)).user?.id).to.equal(person.id);
    expect((await service.auth.confirmEmail({ token }, from(CROWD))).user?.username).to.equal(unconfirmed.username);
    await signIn(service, person);
    await lock.release();
    expect(await Promise.all(calls)).to.deep.equal(Array(PLACES).fill(""));
    expect(await countResets()).to.equal(PLACES);
  });

  it("have a line of sixty-six; the others are refused at once and told when to come back, on every way in", async () => {
    const lock = await holdUp();
    const calls = crowd(3 * PLACES);
    const ends: string[] = [];
    for (const call of calls) call.then((end) => ends.push(end));
    await waitUntil(() => ends.length === 2 * PLACES);
    const { headers } = from(CROWD);
    // Calls with a key are let past the door.
    const gateway = { headers: { ...headers, "x-latchkey-key": (await issueKey(service, ["gateway"])).key } };
    const within = [
      service.auth.requestPasswordReset({ email }, gateway),
      service.auth.requestEmailConfirmation({ email }, gateway),
      service.auth.confirmEmail({ email, code: "000000" }, gateway),
    ];
    expect(await Promise.all(within.map(refusalOf))).to.deep.equal(Array(3).fill("OVERLOADED"));
    const refusals: unknown[] = [];
    for (const { call } of Object.values(waysIn(service))) {
      refusals.push(await call(requestPasswordReset, { email }, headers));
      refusals.push(await call(requestEmailConfirmation, { email }, headers));
      refusals.push(await call(confirmEmail, { email, code: "000000" }, headers));
    }
    const rest = await postJson(service, "/api/auth/request_email", { email }, headers);
    const page = await postForm(service, "/account/reset/request", { email }, headers);
    await lock.release();
    await Promise.all(calls);
    expect(ends).to.deep.equal([...Array(2 * PLACES).fill("OVERLOADED"), ...Array(PLACES).fill("")]);
    expect(refusals).to.have.length(15);
    for (const refusal of refusals)
      expect(JSON.stringify(refusal)).to.match(/^{"refused":{"code":"Unavailable".*"OVERLOADED".*"retryDelay":"\d/);
    for (const { status, headers: answered } of [rest, page]) {
      expect(status).to.equal(503);
      expect(Number(answered.get("retry-after"))).to.be.within(1, 30);
    }
  });

  it("leave room for who calls from elsewhere", async () => {
    const lock = await holdUp();
    const calls = crowd(2 * PLACES);
    let refused = 0;
    for (const call of calls) call.then(() => refused++);
    await waitUntil(() => refused === PLACES);
    const others = Array.from({ length: 10 }, (_, index) => crowd(1, { address: `203.0.113.${index}` })).flat();
    await waitUntil(() => refused === PLACES + 10);
    await lock.release();
    expect(await Promise.all(others)).to.deep.equal(Array(10).fill(""));
    const ends = await Promise.all(calls);
    expect(ends.filter((end) => end === "")).to.have.length(PLACES - 10);
  });

  it("ask the database nothing when they have left before their turn", async () => {
    const callers = new AbortController();
    const lock = await holdUp();
    const calls = crowd(PLACES, { signal: callers.signal });
    await untilBlocked(service, TURNS);
    callers.abort();
    await Promise.all(calls);
    await lock.release();
    expect(await refusalOf(service.auth.requestPasswordReset({ email }))).to.equal("");
    await waitUntil(async () => (await countResets()) >= TURNS + 1);
    expect(await countResets()).to.equal(TURNS + 1);
  });
});
