import { expect } from "chai";
import { postJson } from "./support/http.ts";
import { countedOf, limited } from "./support/limits.ts";
import { mailedTo } from "./support/outbox.ts";
import { newPerson, PASSWORD, refusalOf, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

describe("mails to an address", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  const askReset = (email: string) => refusalOf(service.auth.requestPasswordReset({ email }));
  const askConfirmation = (email: string) => refusalOf(service.auth.requestEmailConfirmation({ email }));
  const countMails = async (email: string) => (await mailedTo(service, email)).length;

  /** Somebody who had the mail of the sign-up long ago. */
  async function someone() {
    const person = await signUpConfirmed(service);
    await passTime(service, 60 * MINUTE);
    return person.email;
  }

  it("are three in any minute and five an hour; over that all is answered as usual and none is sent", async () => {
    const email = await someone();
    for (let time = 1; time <= 10; time++) expect(await askReset(email)).to.equal("");
    expect(await countMails(email)).to.equal(1 + 3);
    await passTime(service, MINUTE);
    for (let time = 1; time <= 10; time++) expect(await askReset(email)).to.equal("");
    expect(await countMails(email)).to.equal(1 + 5);
    await passTime(service, 58 * MINUTE);
    await askReset(email);
    expect(await countMails(email)).to.equal(1 + 5);
    await passTime(service, MINUTE);
    for (let time = 1; time <= 5; time++) await askReset(email);
    expect(await countMails(email)).to.equal(1 + 5 + 3);
  });

  it("are three in any minute, not in those that begin with the first", async () => {
    const email = await someone();
    await askReset(email);
    await passTime(service, 50 * SECOND);
    await askReset(email);
    await askReset(email);
    await passTime(service, 10 * SECOND);
    for (let time = 1; time <= 3; time++) await askReset(email);
    expect(await countMails(email)).to.equal(1 + 4);
  });

  it("are counted together, whatever asks for them", async () => {
    const person = newPerson();
    await service.auth.signUp(person);
    await askReset(person.email.toUpperCase());
    expect(await refusalOf(service.auth.signUp({ ...newPerson(), email: person.email }))).to.equal("EMAIL_TAKEN");
    await askConfirmation(person.email);
    expect(await refusalOf(service.auth.signUp({ ...newPerson(), email: person.email }))).to.equal("EMAIL_TAKEN");
    expect(await mailedTo(service, person.email)).to.deep.equal(["confirm-email", "reset-password", "confirm-email"]);
  });

  it("that are no longer sent leave what goes with them: the mark of a contested password, the account", async () => {
    const person = newPerson();
    for (let time = 1; time <= 3; time++) await askReset(person.email);
    expect(await refusalOf(service.auth.signUp(person))).to.equal("");
    expect(
      await refusalOf(service.auth.signUp({ ...newPerson(), email: person.email, password: "another's" })),
    ).to.equal("EMAIL_TAKEN");
    expect(await countMails(person.email)).to.equal(0);
    const [row] = await service.database.query<{ password_contested: boolean }>(
      "SELECT password_contested FROM users WHERE email = $1",
      person.email,
    );
    expect(row?.password_contested).to.equal(true);
  });

  it("are counted for unknown addresses too, and answered the same", async () => {
    const [known, unknown] = [await someone(), newPerson().email];
    const answers = [known, unknown].map(async (email) => {
      const seen = [];
      for (let time = 1; time <= 4; time++) {
        const { status, headers, text } = await postJson(service, "/auth.v1.AuthService/RequestPasswordReset", {
          email,
        });
        seen.push([status, [...headers].filter(([name]) => name !== "date"), text]);
      }
      return seen;
    });
    const [first, second] = await Promise.all(answers);
    expect(first).to.deep.equal(second);
    expect(new Set((first ?? []).map((answer) => JSON.stringify(answer))).size).to.equal(1);
    const before = await countedOf(service, "recipient");
    await askReset(known);
    await askReset(unknown);
    expect(await countedOf(service, "recipient")).to.equal(before);
  });

  it("that tell an address is confirmed are answered so, however often they are asked for", async () => {
    const { email } = await signUpConfirmed(service);
    for (let time = 1; time <= 6; time++)
      expect((await service.auth.requestEmailConfirmation({ email })).alreadyConfirmed).to.equal(true);
  });

  it("are not used up by names that are taken", async () => {
    const { username } = await signUpConfirmed(service);
    const person = newPerson();
    for (let time = 1; time <= 6; time++)
      expect(await refusalOf(service.auth.signUp({ ...person, username }))).to.equal("USERNAME_TAKEN");
    await service.auth.signUp(person);
    expect(await countMails(person.email)).to.equal(1);
  });

  it("are not limited where an admin has them sent", async () => {
    const { options } = await signInAdmin(service);
    const person = newPerson();
    for (let time = 1; time <= 3; time++) await askReset(person.email);
    await service.admin.createUser({ ...person, password: PASSWORD }, options);
    expect(await countMails(person.email)).to.equal(1);
  });
});
