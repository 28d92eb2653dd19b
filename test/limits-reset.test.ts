import { expect } from "chai";
import { countedOf, fail, from, limited, WRONG, wrongs } from "./support/limits.ts";
import { PASSWORD, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";

const NEW = "a password newly chosen";

describe("a reset, which proves that somebody holds the address,", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  const enter = (login: string, password: string, more: { deviceToken?: string } = {}) =>
    refusalOf(service.auth.signIn({ login, password, ...more }));

  async function reset(email: string, newPassword = NEW): Promise<string> {
    await service.auth.requestPasswordReset({ email });
    const { token } = await readMail(service, email, 2);
    return refusalOf(service.auth.resetPassword({ token, newPassword }));
  }

  it("forgets the wrong passwords given for the account, by either name", async () => {
    const { username, email } = await signUpConfirmed(service);
    for (const login of [username, email]) expect(await fail(service, login, 6)).to.deep.equal([...wrongs(5), LIMITED]);
    expect(await reset(email)).to.equal("");
    for (const login of [username, email]) {
      expect(await enter(login, NEW), login).to.equal("");
      expect(await fail(service, login, 6), login).to.deep.equal([...wrongs(5), LIMITED]);
    }
  });

  it("forgets those given on its devices, whose sessions it ends, and on those signed out before", async () => {
    const person = await signUpConfirmed(service);
    const [kept, left] = [await signIn(service, person), await signIn(service, person)];
    await service.auth.signOut({ refreshToken: left.refreshToken });
    const devices = [kept, left].map(({ refreshToken: deviceToken }) => ({ deviceToken }));
    for (const device of devices)
      expect(await fail(service, person.username, 6, device)).to.deep.equal([...wrongs(5), LIMITED]);
    expect(await reset(person.email)).to.equal("");
    for (const device of devices) expect(await enter(person.username, NEW, device)).to.equal("");
  });

  it("forgets none that is refused, none of another account and none of an address", async () => {
    const [ada, bob] = [await signUpConfirmed(service), await signUpConfirmed(service)];
    const here = from("203.0.113.70");
    await fail(service, bob.username, 5);
    for (let time = 1; time <= 4; time++) await fail(service, `nobody${time}`, 5, here);
    await fail(service, ada.username, 5);
    expect(await reset(ada.email, "short")).to.equal("INVALID_ARGUMENT");
    expect(await enter(ada.username, PASSWORD)).to.equal(LIMITED);
    const counted = await countedOf(service, "address-failures");
    const { token } = await readMail(service, ada.email, 2);
    expect(await refusalOf(service.auth.resetPassword({ token, newPassword: NEW }))).to.equal("");
    expect(await enter(bob.username, PASSWORD)).to.equal(LIMITED);
    expect(await refusalOf(service.auth.signIn({ login: ada.username, password: WRONG }, here))).to.equal(LIMITED);
    expect(await countedOf(service, "address-failures")).to.equal(counted);
    expect(await enter(ada.username, NEW)).to.equal("");
  });
});

const LIMITED = "RATE_LIMITED";
