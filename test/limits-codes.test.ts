import { expect } from "chai";
import { admitted, countedOf, fail, from, limited, waitOf, wrongs } from "./support/limits.ts";
import { newPerson, readMail, refusalOf, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { passTime } from "./support/time.ts";

const MINUTE = 60_000;

describe("guessed codes from an address", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: limited() });
  });
  after(() => service.stop());

  let networks = 0;
  const newAddress = () => from(`203.0.113.${++networks}`);

  /** Signs somebody up; gives what was mailed. */
  async function signUp() {
    const { email, ...person } = newPerson();
    await service.auth.signUp({ email, ...person });
    return { email, ...(await readMail(service, email)) };
  }
  const confirm = (request: { token: string } | { email: string; code: string }, options = {}) =>
    refusalOf(service.auth.confirmEmail(request, options));
  const guess = (options = {}, email = newPerson().email) => confirm({ email, code: "000000" }, options);
  const failures = () => countedOf(service, "address-failures");

  it("are twenty within 15 minutes, for known and unknown addresses alike; then right ones are refused too", async () => {
    const here = newAddress();
    const { email, code, token } = await signUp();
    const reasons: string[] = [];
    for (let time = 1; time <= 10; time++) reasons.push(await guess(here), await guess(here, email));
    expect(reasons).to.deep.equal(Array(20).fill("INVALID_TOKEN"));
    for (const address of [newPerson().email, email]) expect(await guess(here, address)).to.equal("RATE_LIMITED");
    const { email: other, code: right } = await signUp();
    expect(await confirm({ email: other, code: right }, here)).to.equal("RATE_LIMITED");
    expect(await confirm({ email: other, code: right }, newAddress())).to.equal("");
    expect(await confirm({ email, code }, newAddress())).to.equal("INVALID_TOKEN");
    expect(await confirm({ token }, here)).to.equal("");
    const wait = await waitOf(service.auth.confirmEmail({ email, code }, here));
    expect(wait).to.be.within(10 * MINUTE, 15 * MINUTE);
    await passTime(service, wait);
    expect(await guess(here)).to.equal("INVALID_TOKEN");
  });

  it("count with the wrong passwords from there", async () => {
    const here = newAddress();
    for (let time = 1; time <= 10; time++) {
      expect(await guess(here)).to.equal("INVALID_TOKEN");
      expect(await fail(service, newPerson().username, 1, here)).to.deep.equal(wrongs(1));
    }
    expect(await guess(here)).to.equal("RATE_LIMITED");
    expect(await fail(service, newPerson().username, 1, here)).to.deep.equal(["RATE_LIMITED"]);
  });

  it("are twenty of a hundred at once", async () => {
    const here = newAddress();
    const reasons = await Promise.all(Array.from({ length: 100 }, () => guess(here)));
    expect(admitted(reasons)).to.deep.equal(Array(20).fill("INVALID_TOKEN"));
  });

  it("are none where the code is right, the address confirmed already or no code given", async () => {
    const before = await failures();
    const here = newAddress();
    const { email, code } = await signUp();
    for (let time = 1; time <= 3; time++) expect(await confirm({ email, code }, here)).to.equal("");
    for (const bad of ["", "12345", "1234567", "12345x"]) await confirm({ email, code: bad }, here);
    await confirm({ email: "no address", code }, here);
    expect(await failures()).to.equal(before);
  });

  it("are not counted where the address is nobody's, nor is a bad link anywhere", async () => {
    const plain = await startService({ config: { ...limited(), trustedProxies: [] } });
    const { email } = await signUpConfirmed(plain);
    const statements = await statementsOf(async () => {
      for (let time = 1; time <= 25; time++)
        expect(await refusalOf(plain.auth.confirmEmail({ email, code: "000000" }))).to.equal("INVALID_TOKEN");
    });
    expect(statements).to.have.length(25);
    await plain.stop();
    const here = newAddress();
    for (let time = 1; time <= 25; time++) expect(await confirm({ token: "bad" }, here)).to.equal("INVALID_TOKEN");
    expect(await guess(here)).to.equal("INVALID_TOKEN");
  });
});
