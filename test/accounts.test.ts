import { expect } from "chai";
import { newPerson, PASSWORD, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";

describe("accounts", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  it("are made, confirmed by the mailed link and signed in", async () => {
    const ada = newPerson();
    const { user, confirmationRequired, tokens } = await service.auth.signUp(ada);
    expect(user).to.include({ username: ada.username, email: ada.email, isActive: true, emailConfirmed: false });
    expect([confirmationRequired, tokens]).to.deep.equal([true, undefined]);
    expect(await refusalOf(service.auth.signIn({ login: ada.email, password: PASSWORD }))).to.equal(
      "EMAIL_NOT_CONFIRMED",
    );

    const { token } = await readMail(service, ada.email);
    const confirmed = await service.auth.confirmEmail({ token });
    expect(confirmed.user?.emailConfirmed).to.equal(true);
    expect((await service.auth.confirmEmail({ token })).alreadyConfirmed).to.equal(true);

    for (const login of [ada.username, ada.email, ada.email.toUpperCase()]) {
      expect((await service.auth.signIn({ login, password: PASSWORD })).user?.id).to.equal(user?.id);
    }
  });

  it("keep their session through refreshes and time, until it is too old", async () => {
    const person = await signUpConfirmed(service);
    const first = await signIn(service, person);
    await passTime(service, 29 * 86_400_000);
    expect(await refusalOf(service.auth.getMe({}, first.options))).to.equal("INVALID_TOKEN");
    const { tokens } = await service.auth.refreshToken({ refreshToken: first.refreshToken });
    await passTime(service, 31 * 86_400_000);
    expect(await refusalOf(service.auth.refreshToken({ refreshToken: tokens?.refreshToken ?? "" }))).to.equal(
      "INVALID_TOKEN",
    );
  });
});
