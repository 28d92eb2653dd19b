import { dictionary } from "@zxcvbn-ts/language-common";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { expectHarmless } from "./support/cases.ts";
import { postJson } from "./support/http.ts";
import { expectParity, expectRefusal } from "./support/parity-checks.ts";
import { REST, row } from "./support/parity-kit.ts";
import { newPerson, readMail, refusalOf, signInAdmin, signIn as signInAs } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import type { Refused } from "./support/ways-in.ts";

const { signIn, signUp } = AuthService.method;

/** By how many protocols and routes each is tried. */
const WAYS = 7;

describe("passwords", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { emailConfirmation: "optional" } });
  });
  after(() => service.stop());

  const fault = async (password: string, person = newPerson()) =>
    (await faultsOf(service.auth.signUp({ ...person, password }))).password;

  /** Signs up with one password and tries it and the others by every protocol and route. */
  async function compare(password: string, ...others: string[]) {
    const person = newPerson();
    await service.auth.signUp({ ...person, password });
    const taken: boolean[] = [];
    for (const attempt of [password, ...others]) {
      const ready = async () => ({ request: { login: person.email, password: attempt } });
      const isRight = attempt.normalize() === password.normalize();
      const rule = isRight ? { rest: REST.signIn(200) } : { reason: "INVALID_CREDENTIALS", rest: REST.signIn(401) };
      const outcome = await expectParity(service, row("SignIn", signIn, ready, rule), ready);
      taken.push("answer" in outcome);
    }
    return taken;
  }

  it("are refused by every protocol and route for the same reasons, and nothing is kept of them", async () => {
    const [username, email] = ["nobody.else", "nobody@example.com"];
    const refused = {
      TOO_SHORT: ["7 chars", "\u{1F5DD}".repeat(7)],
      TOO_LONG: ["x".repeat(257), "\u{1F5DD}".repeat(257)],
      MALFORMED: ["long enough\0 but for NUL", "long enough \uFFFD"],
      PASSWORD_LIKE_ACCOUNT: [username, username.toUpperCase(), email, email.toUpperCase()],
      PASSWORD_TOO_COMMON: ["password123", "PASSWORD123"],
    };
    const recorded = { "sign_up_refused INVALID_ARGUMENT": WAYS * Object.values(refused).flat().length };
    await expectHarmless(service, { recorded }, async () => {
      const told: Refused[] = [];
      for (const [reason, passwords] of Object.entries(refused)) {
        for (const password of passwords) {
          const ready = async () => ({ request: { username, email, password } });
          const rule = { reason: "INVALID_ARGUMENT", rest: REST.signUp() };
          told.push(await expectRefusal(service, row("SignUp", signUp, ready, rule), ready));
          expect(JSON.stringify(told.at(-1)))
            .to.include(`"field":"password","description":`)
            .and.include(reason);
        }
      }
      return told;
    });
  });

  it("count to their last byte, beyond the 72 of bcrypt", async () => {
    const bytes = "x".repeat(72);
    expect(await compare(`${bytes}a`, `${bytes}b`, bytes)).to.deep.equal([true, false, false]);
    const emoji = "🗝".repeat(18);
    expect(await compare(`${emoji}🗝`, `${emoji}🔑`, emoji)).to.deep.equal([true, false, false]);
    const longest = "ä".repeat(255);
    expect(await compare(`${longest}a`, `${longest}b`)).to.deep.equal([true, false]);
  });

  it("are the same in every canonically equivalent Unicode form, and only then", async () => {
    const password = "Ångström, caf\u00e9";
    expect(await compare(password, password.normalize("NFD"), "Ångström, cafe")).to.deep.equal([true, true, false]);
    expect(await compare("ﬁve fine fishes", "five fine fishes")).to.deep.equal([true, false]);
  });

  it("keep their case and the space around them", async () => {
    const password = " Spaced Out ";
    expect(await compare(password, "Spaced Out", password.toLowerCase())).to.deep.equal([true, false, false]);
  });

  it("have 8 to 256 code points, however many bytes these take", async () => {
    expect(await fault("7 chars")).to.equal("TOO_SHORT");
    expect(await fault("🗝".repeat(7))).to.equal("TOO_SHORT");
    expect(await fault("e\u0301".repeat(7))).to.equal("TOO_SHORT");
    expect(await fault("🗝".repeat(257))).to.equal("TOO_LONG");
    for (const password of ["🗝 8 code", "🗝".repeat(256), "e\u0301".repeat(256), "x y z ".repeat(40)]) {
      expect(await refusalOf(service.auth.signUp({ ...newPerson(), password })), password).to.equal("");
    }
  });

  it("may be required to be longer", async () => {
    const { database } = service;
    const strict = await startService({ database, config: { passwordMinLength: 20 } });
    try {
      const attempt = (password: string) => strict.auth.signUp({ ...newPerson(), password });
      expect(await faultsOf(attempt("x".repeat(19)))).to.deep.equal({ password: "TOO_SHORT" });
      expect(await refusalOf(attempt("nineteen and one more"))).to.equal("");
    } finally {
      await strict.stop();
    }
  });

  it("are refused with NUL, U+FFFD or a lone surrogate in them", async () => {
    expect(await fault("long enough\0 but for NUL")).to.equal("MALFORMED");
    expect(await fault("long enough \uFFFD")).to.equal("MALFORMED");
    const body = { ...newPerson(), password: "long enough \uD800" };
    expect(await postJson(service, "/auth.v1.AuthService/SignUp", body)).to.include({ status: 400 });
    const { status, text } = await postJson(service, "/api/auth/signup", body);
    expect([status, text.includes("malformed")]).to.deep.equal([422, true]);
  });

  it("must not be the username or the address, in whatever case or Unicode form", async () => {
    const person = { username: "Zoë.Weiß", email: "Zoe.Weiss@Example.com", password: "" };
    for (const password of ["Zoë.Weiß", "zoe\u0308.weiß", "ZOE.WEISS@EXAMPLE.COM", "zoe.weiss@example.com"]) {
      expect(await fault(password, person), password).to.equal("PASSWORD_LIKE_ACCOUNT");
    }
    expect(await refusalOf(service.auth.signUp({ ...person, password: "zoe.weiss@example" }))).to.equal("");
  });

  it("must not be one of the common ones, in whatever case", async () => {
    for (const password of ["password123", "PASSWORD123", "Password1", "qwertyuiop", "12345678", "iloveyou"]) {
      expect(await fault(password), password).to.equal("PASSWORD_TOO_COMMON");
    }
    expect(await refusalOf(service.auth.signUp({ ...newPerson(), password: "secure_password" }))).to.equal("");
  });

  it("are held against a list of more than ten thousand", async () => {
    const common = dictionary["passwords-common"].map(String).filter((word) => word.length >= 8);
    expect(common.length).to.be.above(10_000);
    const sample = common.filter((_, index) => index % 500 === 0);
    const faults = await Promise.all(sample.map((password) => fault(password)));
    expect(new Set(faults)).to.deep.equal(new Set(["PASSWORD_TOO_COMMON"]));
  });

  it("need no signs, digits or capitals", async () => {
    for (const password of ["correcthorsebattery", "пароль подлиннее", "49203950193847560"]) {
      expect(await refusalOf(service.auth.signUp({ ...newPerson(), password })), password).to.equal("");
    }
  });

  it("have the same rules when an admin sets, a reset chooses or their owner changes them", async () => {
    const { options } = await signInAdmin(service);
    const person = newPerson();
    await service.auth.signUp(person);
    const own = await signInAs(service, person);
    await service.auth.requestPasswordReset({ email: person.email });
    const { token } = await readMail(service, person.email, 2);
    for (const [password, reason] of [
      ["password123", "PASSWORD_TOO_COMMON"],
      ["short", "TOO_SHORT"],
      [person.email.toUpperCase(), "PASSWORD_LIKE_ACCOUNT"],
    ] as const) {
      const created = service.admin.createUser({ ...newPerson(), email: person.email, password }, options);
      expect(await faultsOf(created)).to.deep.equal({ password: reason });
      const reset = service.auth.resetPassword({ token, newPassword: password });
      expect(await faultsOf(reset)).to.deep.equal({ new_password: reason });
      const passwords = { currentPassword: person.password, newPassword: password };
      const changed = service.auth.changePassword(passwords, own.options);
      expect(await faultsOf(changed)).to.deep.equal({ new_password: reason });
    }
  });
});
