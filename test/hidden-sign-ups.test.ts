import { expect } from "chai";
import { ADDRESSES } from "./support/disclosure.ts";
import { postJson } from "./support/http.ts";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { statusOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { workOf } from "./support/work.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const OTHER = "another horse, another battery";

/** The addresses that somebody might sign up with to learn what the service knows of them. */
const TARGETS = ["unknown", "unconfirmed", "confirmed"] as const;

describe("a sign-up where accounts are hidden", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { accountDisclosure: "hidden" } });
  });
  after(() => service.stop());

  /** What a stranger signs up with to learn of an address. */
  async function probe(target: (typeof TARGETS)[number]) {
    const person = { ...newPerson(), email: await ADDRESSES[target](service) };
    await service.auth.signUp(person);
    return person;
  }

  it("makes an account that is confirmed by mail and signed in to, as anywhere", async () => {
    const person = newPerson();
    const { user, confirmationRequired, tokens } = await service.auth.signUp(person);
    expect([user, confirmationRequired, tokens]).to.deep.equal([undefined, true, undefined]);
    const { token } = await readMail(service, person.email);
    const confirmed = await service.auth.confirmEmail({ token });
    expect([confirmed.user?.username, confirmed.passwordRequired]).to.deep.equal([person.username, false]);
    expect((await signIn(service, person)).user.email).to.equal(person.email);
  });

  it("answers the documented routes with their members, which are null", async () => {
    const account = { id: null, username: null, email: null, is_active: null };
    const more = { email_confirmed: null, created_at: null };
    const message = "User created. Check your email for confirmation.";
    for (const target of TARGETS) {
      const person = () => ADDRESSES[target](service).then((email) => ({ ...newPerson(), email }));
      const [first, second] = [
        await postJson(service, "/auth/signup", await person()),
        await postJson(service, "/api/auth/signup", await person()),
      ];
      expect([first.status, first.body], target).to.deep.equal([200, account]);
      expect([second.status, second.body], target).to.deep.equal([201, { ...account, ...more, message }]);
    }
  });

  it("says of a username that it is taken, whatever the address, at the same cost", async () => {
    const { username } = await signUpConfirmed(service);
    const answers = new Set<string>();
    for (const target of TARGETS) {
      const email = await ADDRESSES[target](service);
      const mailed = await countMails();
      const request = { ...newPerson(), username: username.toUpperCase(), email };
      const work = await workOf(service, async () => {
        answers.add(await statusOf(service.auth.signUp(request)));
      });
      expect(await countMails()).to.equal(mailed);
      answers.add(JSON.stringify(work));
    }
    expect([...answers].join()).to.include("Account with this username already exists");
    expect(answers).to.have.length(2);
  });

  it("takes the username, be the address known or not, for sign-ups and for renames", async () => {
    const { options } = await signIn(service, await signUpConfirmed(service));
    for (const target of TARGETS) {
      const { username } = await probe(target);
      expect(await refusalOf(service.auth.signUp({ ...newPerson(), username })), target).to.equal("USERNAME_TAKEN");
      expect(await refusalOf(service.auth.updateMe({ username }, options)), target).to.equal("USERNAME_TAKEN");
    }
  });

  it("frees the username after 7 days, be the address known or not, and whatever mails were asked for", async () => {
    const people: Awaited<ReturnType<typeof probe>>[] = [];
    for (const target of TARGETS) people.push(await probe(target));
    await passTime(service, 7 * DAY - HOUR);
    for (const { email } of people) {
      await service.auth.requestEmailConfirmation({ email });
      await service.auth.requestPasswordReset({ email });
    }
    const signUps = () =>
      Promise.all(people.map(({ username }) => refusalOf(service.auth.signUp({ ...newPerson(), username }))));
    await service.app.cleanUp();
    expect(await signUps()).to.deep.equal(TARGETS.map(() => "USERNAME_TAKEN"));
    await passTime(service, 2 * HOUR);
    await service.app.cleanUp();
    expect(await signUps()).to.deep.equal(TARGETS.map(() => ""));
  });

  it("lets nobody learn by signing in whether there was an account: the same bytes for the same work", async () => {
    const seen = new Map<string, Set<string>>();
    for (const target of TARGETS) {
      const { username, email, password } = await probe(target);
      const tries = { "the new username": username, "the address": email };
      for (const [what, login] of Object.entries(tries)) {
        for (const given of [password, OTHER]) {
          let answer = "";
          const work = await workOf(service, async () => {
            // The holder of a confirmed account has this password too, as everybody here, but the stranger cannot know it.
            const tried = target === "confirmed" && login === email ? OTHER : given;
            answer = await statusOf(service.auth.signIn({ login, password: tried }));
          });
          expect(answer).to.include("Incorrect username or password");
          const statements = work.statements.map((text) => text.replace(login, "?"));
          const all = seen.get(what) ?? new Set();
          seen.set(what, all.add(JSON.stringify([answer, { ...work, statements }])));
        }
      }
    }
    for (const [what, all] of seen) expect(all, what).to.have.length(1);
  });

  it("lets nobody learn by guessing codes whether there was an account", async () => {
    const seen = new Map<string, string[]>();
    for (const target of ["unasked", ...TARGETS] as const) {
      const { email } = target === "unasked" ? newPerson() : await probe(target);
      const answers: string[] = [];
      // The sixth is not looked at.
      for (let guess = 1; guess <= 6; guess++) {
        const { statements } = await workOf(service, async () => {
          answers.push(await statusOf(service.auth.confirmEmail({ email, code: `${guess}00000` })));
        });
        answers.push(JSON.stringify(statements));
      }
      seen.set(target, answers);
    }
    expect(seen.get("unasked")?.[0]).to.include("Invalid or expired token");
    for (const [target, answers] of seen) expect(answers, target).to.deep.equal(seen.get("unasked"));
  });

  it("writes with each guess of a code, there being one or not: no answer comes without the disk", async () => {
    const writes = async (email: string) => {
      const of = () =>
        service.database.query<{ n: number }>("SELECT (count(*) + sum(code_tries))::int AS n FROM secret_tokens");
      const [before] = await of();
      await refusalOf(service.auth.confirmEmail({ email, code: "000000" }));
      const [after] = await of();
      return (after?.n ?? 0) - (before?.n ?? 0);
    };
    for (const email of [newPerson().email, (await probe("unknown")).email, (await probe("confirmed")).email])
      expect(await writes(email)).to.equal(1);
  });

  it("keeps what guesses of a code have written until the next clean-up, and no longer", async () => {
    await service.app.cleanUp();
    for (const guess of ["000000", "111111", "222222"])
      await refusalOf(service.auth.confirmEmail({ email: newPerson().email, code: guess }));
    expect((await service.app.cleanUp()).deleted.secret_tokens).to.equal(3);
  });

  it("with an unconfirmed address contests its password, unless the same one is given", async () => {
    for (const [password, passwordRequired] of [
      [PASSWORD, false],
      [OTHER, true],
    ] as const) {
      const person = newPerson();
      await service.auth.signUp(person);
      await service.auth.signUp({ ...newPerson(), email: person.email, password });
      const { token } = await readMail(service, person.email, 2);
      const confirmed = await service.auth.confirmEmail({ token });
      expect([confirmed.user?.username, confirmed.passwordRequired]).to.deep.equal([person.username, passwordRequired]);
      expect(await refusalOf(signIn(service, person))).to.equal(passwordRequired ? "INVALID_CREDENTIALS" : "");
    }
  });

  it("with the address of an account changes nothing about that", async () => {
    const person = await signUpConfirmed(service);
    const state = () =>
      service.database.query(
        "SELECT to_jsonb(u) - 'last_sign_in_at' AS row FROM users u WHERE email = $1",
        person.email,
      );
    const before = await state();
    await service.auth.signUp({ ...newPerson(), email: person.email, password: OTHER });
    expect(await state()).to.deep.equal(before);
    const [event] = await service.database.query(
      "SELECT type, reason FROM audit_events WHERE user_id = $1 ORDER BY id DESC LIMIT 1",
      person.id,
    );
    expect(event).to.deep.equal({ type: "sign_up_refused", reason: "EMAIL_TAKEN" });
    const { text, subject } = await readMail(service, person.email, 2);
    expect(subject).to.equal("You already have an account");
    expect(text)
      .to.include(`Hello ${person.username},`)
      .and.include("/account/reset\n")
      .and.not.match(/\b\d{6}\b/);
    await signIn(service, person);
  });

  it("of two at once with one address makes one account, and nobody is told which", async () => {
    const { email } = newPerson();
    const people = Array.from({ length: 20 }, () => ({ ...newPerson(), email }));
    const answers = await Promise.all(people.map((person) => service.auth.signUp(person)));
    expect(new Set(answers.map(({ user, confirmationRequired }) => `${user} ${confirmationRequired}`)).size).to.equal(
      1,
    );
    const rows = await service.database.query("SELECT password_contested FROM users WHERE email = $1", email);
    expect(rows).to.deep.equal([{ password_contested: true }]);
    await readMail(service, email, people.length);
  });

  it("of two at once with one username leaves it to one, whatever their addresses", async () => {
    const { username } = newPerson();
    const emails = [await ADDRESSES.confirmed(service), newPerson().email, await ADDRESSES.unconfirmed(service)];
    const calls = emails.map((email) => refusalOf(service.auth.signUp({ ...newPerson(), username, email })));
    expect((await Promise.all(calls)).sort()).to.deep.equal(["", "USERNAME_TAKEN", "USERNAME_TAKEN"]);
  });

  const countMails = async () => (await service.database.query("SELECT 1 FROM mails")).length;
});
