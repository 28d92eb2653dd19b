import { create } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { expect } from "chai";
import { SignUpRequestSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { now } from "../src/clock.ts";
import { expectHarmless } from "./support/cases.ts";
import { postJson } from "./support/http.ts";
import { mailedTo } from "./support/outbox.ts";
import { bearer, newPerson, PASSWORD, readMail, refusalOf, signUpConfirmed } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";

/** As it is encoded, its length first. */
const TEXT_FIELD = { wireType: WireType.LengthDelimited, data: Buffer.from("\u0005admin") };

describe("a sign-up", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const accounts = async (where: string, ...values: unknown[]) =>
    service.database.query<{ is_active: boolean; roles: string[]; id: string }>(
      `SELECT is_active, roles, id FROM users WHERE ${where}`,
      ...values,
    );

  it("answers the account as it is stored, unconfirmed and without tokens", async () => {
    const person = newPerson();
    const { user, confirmationRequired, tokens } = await service.auth.signUp(person);
    const { username, email } = person;
    expect(user).to.include({ username, email, isActive: true, emailConfirmed: false, locale: "en" });
    expect(user?.roles).to.deep.equal([]);
    expect(user?.lastSignInTime).to.equal(undefined);
    const made = user?.createTime && timestampDate(user.createTime).getTime();
    expect(made).to.be.closeTo(now(service.clock), 60_000);
    expect([confirmationRequired, tokens]).to.deep.equal([true, undefined]);
    const stored = await accounts("username = $1 AND email = $2", username, email);
    expect(stored.map(({ id }) => BigInt(id))).to.deep.equal([user?.id]);
    expect(await mailedTo(service, email)).to.deep.equal(["confirm-email"]);
  });

  it("keeps the names as they were typed, less the space around them", async () => {
    const { user } = await service.auth.signUp({ username: " ADA.L-1 ", email: "\tAda@X.io\n", password: PASSWORD });
    expect(user).to.include({ username: "ADA.L-1", email: "Ada@X.io" });
  });

  it("tells of the e-mail address when both names are taken, even by two accounts", async () => {
    const [ada, bob] = [newPerson(), newPerson()];
    await service.auth.signUp(ada);
    await service.auth.signUp(bob);
    const { email } = newPerson();
    expect(await refusalOf(service.auth.signUp({ ...ada, email }))).to.equal("USERNAME_TAKEN");
    expect(await refusalOf(service.auth.signUp({ ...ada, username: newPerson().username }))).to.equal("EMAIL_TAKEN");
    expect(await refusalOf(service.auth.signUp(ada))).to.equal("EMAIL_TAKEN");
    expect(await refusalOf(service.auth.signUp({ ...ada, username: bob.username }))).to.equal("EMAIL_TAKEN");
  });

  it("finds a name taken however it is written", async () => {
    await service.auth.signUp({ username: "Zoé.Kim", email: "zoe@bücher.example", password: PASSWORD });
    for (const username of ["ZOÉ.KIM", "zoe\u0301.kim", "Zoé.\u212Aım"]) {
      expect(await refusalOf(service.auth.signUp({ ...newPerson(), username })), username).to.equal("USERNAME_TAKEN");
    }
    for (const email of ["ZOE@BÜCHER.example", "zoe@xn--bcher-kva.example", "zoe@bu\u0308cher.Example"]) {
      expect(await refusalOf(service.auth.signUp({ ...newPerson(), email })), email).to.equal("EMAIL_TAKEN");
    }
  });

  it("names all faulty fields in one answer", async () => {
    const faulty = { username: "", email: "ada", password: "short", locale: "no such language" };
    expect(await refusalOf(service.auth.signUp(faulty))).to.equal("INVALID_ARGUMENT");
    expect(await faultsOf(service.auth.signUp(faulty))).to.deep.equal({
      username: "REQUIRED",
      email: "MALFORMED",
      password: "TOO_SHORT",
      locale: "MALFORMED",
    });
    expect(await faultsOf(service.auth.signUp({}))).to.deep.equal({
      username: "REQUIRED",
      email: "REQUIRED",
      password: "REQUIRED",
    });
  });

  it("keeps the language in its canonical form, English when none is told", async () => {
    const localeOf = async (locale: string) => (await service.auth.signUp({ ...newPerson(), locale })).user?.locale;
    expect(await localeOf("PT-br")).to.equal("pt-BR");
    expect(await localeOf("")).to.equal("en");
    const long = `en-x-${"abcdefg-".repeat(5)}`.slice(0, 36);
    expect(await faultsOf(service.auth.signUp({ ...newPerson(), locale: long }))).to.deep.equal({ locale: "TOO_LONG" });
  });

  it("refuses NUL, U+FFFD and, where they can be sent, lone surrogates in every field", async () => {
    for (const field of ["username", "email", "password", "locale"] as const) {
      for (const text of ["ada\0ada@x.io", "ada\uFFFDada@x.io"]) {
        const call = service.auth.signUp({ ...newPerson(), [field]: text });
        expect(await faultsOf(call), `${field}: ${JSON.stringify(text)}`).to.deep.equal({ [field]: "MALFORMED" });
      }
      const { username, email, password } = newPerson();
      const body = JSON.stringify({ username, email, password, [field]: "ada\ud800ada" });
      const answer = await postJson(service, "/auth.v1.AuthService/SignUp", body);
      expect([answer.status, answer.body.code], field).to.deep.equal([400, "invalid_argument"]);
      expect(await accounts("username = $1 OR email = $2", username, email), field).to.deep.equal([]);
    }
  });

  it("does not let the caller set a role, a block or an id, over gRPC, Connect and REST", async () => {
    const greed = { roles: ["admin"], is_active: false, isActive: false, id: 4711, email_confirmed: true };
    await expectHarmless(service, { recorded: { "sign_up_refused INVALID_ARGUMENT": 1 } }, async () => {
      const answer = await postJson(service, "/auth.v1.AuthService/SignUp", { ...newPerson(), ...greed });
      expect(answer).to.include({ status: 400 });
      return [answer];
    });
    const people = [newPerson(), newPerson(), newPerson()] as const;
    for (const [index, route] of ["/auth/signup", "/api/auth/signup"].entries()) {
      const { status, body } = await postJson(service, route, { ...people[index], ...greed });
      expect([status, body.is_active]).to.deep.equal([index === 0 ? 200 : 201, true]);
    }
    // Fields that the message does not have: numbers and texts.
    const request = create(SignUpRequestSchema, people[2]);
    request.$unknown = Array.from({ length: 12 }, (_, index) => ({
      no: 5 + index,
      ...(index % 2 ? { wireType: WireType.Varint, data: Buffer.of(1) } : TEXT_FIELD),
    }));
    expect((await service.auth.signUp(request)).user).to.include({ isActive: true, emailConfirmed: false });
    for (const { username } of people) {
      const [stored] = await accounts("username = $1 AND email_confirmed_at IS NULL", username);
      expect(stored).to.deep.include({ is_active: true, roles: [] });
      expect(stored?.id).not.to.equal("4711");
    }
  });

  it("mails a fresh confirmation when an unconfirmed address signs up again, and none once it is confirmed", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    expect(await refusalOf(service.auth.signUp({ ...person, email: person.email.toUpperCase() }))).to.equal(
      "EMAIL_TAKEN",
    );
    const { token } = await readMail(service, person.email, 2);
    expect((await service.auth.confirmEmail({ token })).user?.emailConfirmed).to.equal(true);
    expect(await refusalOf(service.auth.signUp(person))).to.equal("EMAIL_TAKEN");
    expect(await mailedTo(service, person.email)).to.deep.equal(["confirm-email", "confirm-email"]);
  });

  it("mails nothing to an unconfirmed address of which only the username was asked for", async () => {
    const [ada, bob] = [newPerson(), newPerson()];
    await service.auth.signUp(ada);
    await refusalOf(service.auth.signUp({ ...bob, username: ada.username }));
    expect(await mailedTo(service, ada.email)).to.have.length(1);
    expect(await mailedTo(service, bob.email)).to.have.length(0);
  });

  it("is won by one of fifty at once", async () => {
    const person = newPerson();
    const signUps = Array.from({ length: 50 }, () => refusalOf(service.auth.signUp(person)));
    const refusals = (await Promise.all(signUps)).sort();
    expect(refusals).to.deep.equal(["", ...Array(49).fill("EMAIL_TAKEN")]);
    expect(await accounts("email = $1", person.email)).to.have.length(1);
  });

  it("signs in at once where addresses need not be confirmed, and mails the confirmation all the same", async () => {
    const { database, mails } = service;
    const lenient = await startService({ database, mails, config: { emailConfirmation: "optional" } });
    try {
      const person = newPerson();
      const { user, tokens, confirmationRequired } = await lenient.auth.signUp(person);
      expect([confirmationRequired, tokens?.tokenType]).to.deep.equal([false, "bearer"]);
      const me = await lenient.auth.getMe({}, bearer(tokens?.accessToken ?? ""));
      expect(me.user).to.deep.include({ id: user?.id, emailConfirmed: false });
      expect((await lenient.auth.signIn({ login: person.email, password: PASSWORD })).user?.id).to.equal(user?.id);
      expect(await mailedTo(service, person.email)).to.deep.equal(["confirm-email"]);
    } finally {
      await lenient.stop();
    }
  });

  it("tells an address that is taken from a confirmed account too", async () => {
    const { email } = await signUpConfirmed(service);
    expect(await refusalOf(service.auth.signUp({ ...newPerson(), email }))).to.equal("EMAIL_TAKEN");
  });
});
