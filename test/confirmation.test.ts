import { expect } from "chai";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signUpConfirmed } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe("a confirmation", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  /** Signs somebody up and asks for `mails` mails in all; gives what each of them holds. */
  async function signUp(mails = 1) {
    const { email, ...person } = newPerson();
    const { user } = await service.auth.signUp({ email, ...person });
    const received = [await readMail(service, email)];
    for (let count = 2; count <= mails; count++) {
      await service.auth.requestEmailConfirmation({ email });
      received.push(await readMail(service, email, count));
    }
    return { email, id: user?.id ?? 0n, mails: received, newest: received.at(-1) ?? NO_MAIL };
  }

  const confirm = (request: { token: string } | { email: string; code: string }) =>
    refusalOf(service.auth.confirmEmail(request));
  const isConfirmed = async (login: string) =>
    (await refusalOf(service.auth.signIn({ login, password: PASSWORD }))) === "";

  it("by the mailed token proves the address, once", async () => {
    const { email, id, newest } = await signUp();
    const { user, alreadyConfirmed } = await service.auth.confirmEmail({ token: newest.token });
    expect([user?.id, user?.emailConfirmed, alreadyConfirmed]).to.deep.equal([id, true, false]);
    const again = await service.auth.confirmEmail({ token: newest.token });
    expect([again.user, again.alreadyConfirmed]).to.deep.equal([undefined, true]);
    expect(await isConfirmed(email)).to.equal(true);
  });

  it("by address and code proves the address however the address is written", async () => {
    const { email, id, newest } = await signUp();
    const { user } = await service.auth.confirmEmail({ email: ` ${email.toUpperCase()}`, code: newest.code });
    expect([user?.id, user?.emailConfirmed]).to.deep.equal([id, true]);
    expect(await isConfirmed(email)).to.equal(true);
  });

  it("never signs in", async () => {
    const { id, newest } = await signUp();
    await service.auth.confirmEmail({ token: newest.token });
    expect(await service.database.query("SELECT 1 FROM sessions WHERE user_id = $1", id)).to.deep.equal([]);
  });

  it("is won by one of fifty at once; to the others it is confirmed already", async () => {
    const { email, mails } = await signUp(2);
    const requests = Array.from({ length: 50 }, (_, i) => ({ token: mails[i % 2]?.token ?? "" }));
    const answers = await Promise.all(requests.map((request) => service.auth.confirmEmail(request)));
    expect(answers.filter(({ user }) => user)).to.have.length(1);
    expect(answers.filter(({ alreadyConfirmed }) => alreadyConfirmed)).to.have.length(49);
    expect(await isConfirmed(email)).to.equal(true);
  });

  it("takes any unexpired link until one is used, and then says that it is done", async () => {
    const { mails } = await signUp(3);
    expect((await service.auth.confirmEmail({ token: mails[1]?.token ?? "" })).user?.emailConfirmed).to.equal(true);
    for (const { token } of mails) {
      expect((await service.auth.confirmEmail({ token })).alreadyConfirmed).to.equal(true);
    }
  });

  it("takes a link for 24 hours and no longer", async () => {
    const [early, late] = [await signUp(), await signUp()];
    await passTime(service, 24 * HOUR - MINUTE);
    expect(await confirm({ token: early.newest.token })).to.equal("");
    await passTime(service, MINUTE);
    expect(await confirm({ token: late.newest.token })).to.equal("INVALID_TOKEN");
    expect((await service.auth.confirmEmail({ token: early.newest.token })).alreadyConfirmed).to.equal(true);
    expect(await isConfirmed(late.email)).to.equal(false);
  });

  it("takes a code for 10 minutes and no longer; the link stays good", async () => {
    const [early, late] = [await signUp(), await signUp()];
    await passTime(service, 9 * MINUTE);
    expect(await confirm({ email: early.email, code: early.newest.code })).to.equal("");
    await passTime(service, MINUTE);
    expect(await confirm({ email: late.email, code: late.newest.code })).to.equal("INVALID_TOKEN");
    expect(await confirm({ token: late.newest.token })).to.equal("");
  });

  it("takes the code of the newest mail only", async () => {
    const { email, mails, newest } = await signUp(2);
    if (mails[0]?.code !== newest.code) {
      expect(await confirm({ email, code: mails[0]?.code ?? "" })).to.equal("INVALID_TOKEN");
    }
    expect(await confirm({ email, code: newest.code })).to.equal("");
  });

  it("takes no sixth code, be it the right one; a fresh mail brings five more tries", async () => {
    const { email, newest } = await signUp();
    for (let wrong = 1; wrong <= 5; wrong++) {
      expect(await confirm({ email, code: otherCode(newest.code, wrong) })).to.equal("INVALID_TOKEN");
    }
    expect(await confirm({ email, code: newest.code })).to.equal("INVALID_TOKEN");
    await service.auth.requestEmailConfirmation({ email });
    const { code } = await readMail(service, email, 2);
    for (let wrong = 1; wrong <= 4; wrong++) await confirm({ email, code: otherCode(code, wrong) });
    expect(await confirm({ email, code })).to.equal("");
  });

  it("counts fifty codes that are tried at once as any others", async () => {
    const { email, id, newest } = await signUp();
    const tries = Array.from({ length: 50 }, (_, i) => confirm({ email, code: otherCode(newest.code, i + 1) }));
    expect(new Set(await Promise.all(tries))).to.deep.equal(new Set(["INVALID_TOKEN"]));
    const tokens = await service.database.query("SELECT code_tries FROM secret_tokens WHERE user_id = $1", id);
    expect(tokens).to.deep.equal([{ code_tries: 5 }]);
    expect(await confirm({ email, code: newest.code })).to.equal("INVALID_TOKEN");
    expect(await confirm({ token: newest.token })).to.equal("");
  });

  it("says that it is done to the right code of a used token, and nothing to a wrong one", async () => {
    const { email, newest } = await signUp();
    await service.auth.confirmEmail({ token: newest.token });
    expect((await service.auth.confirmEmail({ email, code: newest.code })).alreadyConfirmed).to.equal(true);
    expect(await confirm({ email, code: otherCode(newest.code, 1) })).to.equal("INVALID_TOKEN");
  });

  it("tells a code of an unknown address and a malformed request alike from a wrong code: not at all", async () => {
    const { email, newest } = await signUp();
    const bad = [
      { email: newPerson().email, code: newest.code },
      { email: "no address", code: newest.code },
      { email, code: ` ${newest.code}` },
      { email, code: `${newest.code}0` },
      { email, code: "" },
      { email: "", code: newest.code },
      { token: "" },
      { token: `${newest.token}A` },
      { token: newest.token.toUpperCase() },
    ];
    for (const request of bad) expect(await confirm(request), JSON.stringify(request)).to.equal("INVALID_TOKEN");
    expect(await confirm({ email, code: newest.code })).to.equal("");
  });

  it("looks at nothing but the token when there is one", async () => {
    const [ada, bob] = [await signUp(), await signUp()];
    const { email, newest } = bob;
    expect(await confirm({ token: "bad", ...{ email, code: newest.code } })).to.equal("INVALID_TOKEN");
    const { user } = await service.auth.confirmEmail({ token: ada.newest.token, email, code: newest.code });
    expect(user?.id).to.equal(ada.id);
    expect(await isConfirmed(bob.email)).to.equal(false);
  });

  it("asked for anew goes to the address as it was signed up", async () => {
    const { email } = await signUp();
    expect(await service.auth.requestEmailConfirmation({ email: email.toUpperCase() })).to.include({
      alreadyConfirmed: false,
    });
    expect(await mailedTo(service, email)).to.deep.equal(["confirm-email", "confirm-email"]);
    expect(await mailedTo(service, email.toUpperCase())).to.deep.equal([]);
  });

  it("asked for anew answers the same for an unknown address as for an unconfirmed one, and mails it nothing", async () => {
    const { email } = await signUp();
    const unknown = newPerson().email;
    const answers = [
      await service.auth.requestEmailConfirmation({ email }),
      await service.auth.requestEmailConfirmation({ email: unknown }),
    ];
    expect(answers[0]).to.deep.equal(answers[1]);
    expect(await mailedTo(service, unknown)).to.deep.equal([]);
    const faulty = service.auth.requestEmailConfirmation({ email: "no address" });
    expect(await faultsOf(faulty)).to.deep.equal({ email: "MALFORMED" });
  });

  it("asked for anew for a confirmed address says so and mails nothing", async () => {
    const { email } = await signUpConfirmed(service);
    expect((await service.auth.requestEmailConfirmation({ email })).alreadyConfirmed).to.equal(true);
    expect(await mailedTo(service, email)).to.have.length(1);
  });
});

const NO_MAIL = { token: "", code: "" };

/** A code that is not the given one. */
function otherCode(code: string, by: number): string {
  return String((Number(code) + by) % 1_000_000).padStart(6, "0");
}
