import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { newPerson, PASSWORD, signUpConfirmed } from "./support/people.ts";
import { findPython, run, skipWithout } from "./support/programs.ts";
import { startService, type TestService } from "./support/service.ts";

const script = (name: string) => join(import.meta.dirname, "python", name);

async function report(program: string, args: readonly string[]) {
  const { code, stdout, stderr } = await run(program, args);
  expect(code, stderr).to.equal(0);
  return JSON.parse(stdout);
}

describe("Python's aiohttp", () => {
  let python = "";
  let service: TestService;
  before(async function () {
    python = (await findPython("aiohttp")) ?? "";
    if (!python) skipWithout(this, "Python with aiohttp");
    service = await startService();
  });
  after(() => service?.stop());

  const signIn = (url: string, username: string, password = PASSWORD) =>
    report(python, [script("auth_service.py"), url, username, password]);

  it("signs in by the client of seed 000", async () => {
    const { id, username, email } = await signUpConfirmed(service);
    const { data } = await signIn(service.httpUrl, username);
    expect(data).to.include({ token_type: "bearer", expires_in: 86_400 });
    expect(data).to.include.keys("access_token", "refresh_token");
    expect(data.user).to.deep.equal({ id: Number(id), username, email, is_active: true });
  });

  it("is told why a sign-in fails by the client of seed 000", async () => {
    const { username } = await signUpConfirmed(service);
    const refused = { error: "AuthError", detail: "Incorrect username or password" };
    expect(await signIn(service.httpUrl, username, "wrong password")).to.deep.equal(refused);
    const unconfirmed = newPerson();
    await service.auth.signUp(unconfirmed);
    const waiting = { error: "AuthError", detail: "Email not confirmed" };
    expect(await signIn(service.httpUrl, unconfirmed.username)).to.deep.equal(waiting);
  });

  it("is told by the client of seed 000 that nobody listens", async () => {
    const away = { error: "BadRequestError", detail: "Auth Service not available" };
    // Port 1 is kept for a service that nobody runs.
    expect(await signIn("http://127.0.0.1:1", "ada")).to.deep.equal(away);
  });

  it("signs up, signs in with a form, refreshes and signs out as the examples of seed 002 do", async () => {
    const optional = await startService({ config: { emailConfirmation: "optional" } });
    const { username, email, password } = newPerson();
    const args = [script("form_login.py"), optional.httpUrl, username, email, password];
    const answers = await report(python, args).finally(() => optional.stop());
    expect(answers.map(({ status }: { status: number }) => status)).to.deep.equal([201, 200, 200, 200, 401]);
    expect(answers[0].body).to.include({ username, email, message: "User created." });
    expect(answers[2].body.refresh_token).not.to.equal(answers[1].body.refresh_token);
    expect(answers[3].body).to.deep.equal({ message: "Logout successful" });
    expect(answers[4].body).to.deep.equal({ detail: "Invalid or expired token", code: "INVALID_TOKEN" });
  });
});

describe("Python's grpcio", () => {
  let python = "";
  let stubs = "";
  let service: TestService;
  before(async function () {
    python = (await findPython("grpc", "grpc_tools")) ?? "";
    if (!python) skipWithout(this, "Python with grpcio and grpcio-tools");
    service = await startService({ config: { emailConfirmation: "optional" } });
    stubs = mkdtempSync(join(tmpdir(), "latchkey-stubs-"));
    await makeStubs();
  });
  after(async () => {
    if (stubs) rmSync(stubs, { recursive: true });
    await service?.stop();
  });

  async function makeStubs(): Promise<void> {
    const folders = [
      "-Iproto",
      "-Inode_modules/google-proto-files",
      `--python_out=${stubs}`,
      `--grpc_python_out=${stubs}`,
    ];
    const ours = ["auth_service", "options", "session", "user"].map((name) => `auth/v1/${name}.proto`);
    const google = ["google/rpc/status.proto", "google/rpc/error_details.proto"];
    const { code, stderr } = await run(python, ["-m", "grpc_tools.protoc", ...folders, ...ours, ...google]);
    expect(code, stderr).to.equal(0);
  }

  it("calls with stubs made from the .proto files and reads the details of refusals", async () => {
    const { username, email, password } = newPerson();
    const target = new URL(service.grpcUrl).host;
    const args = [script("grpc_client.py"), stubs, target, username, email, password];
    const { signedUp, taken, faulty, signedIn, wrong, anonymous, me } = await report(python, args);
    expect(signedUp.user).to.include({ username, email, isActive: true });
    expect(signedIn.tokens).to.include({ tokenType: "bearer", expiresIn: 86_400 });
    expect(me.user).to.include({ username, email });
    expect(me.session).to.include({ address: "127.0.0.1", current: true });
    const info = (reason: string) => ({ domain: "latchkey", reason });
    expect(taken).to.deep.equal({
      ...{ code: "ALREADY_EXISTS", message: "Account with this email already exists" },
      ErrorInfo: info("EMAIL_TAKEN"),
    });
    expect(wrong).to.deep.include({ code: "UNAUTHENTICATED", ErrorInfo: info("INVALID_CREDENTIALS") });
    expect(anonymous).to.deep.include({ code: "UNAUTHENTICATED", ErrorInfo: info("INVALID_TOKEN") });
    expect(faulty).to.deep.include({ code: "INVALID_ARGUMENT", ErrorInfo: info("INVALID_ARGUMENT") });
    const faults = faulty.BadRequest.fieldViolations.map(({ field, reason }: Record<string, string>) => [
      field,
      reason,
    ]);
    expect(faults).to.deep.equal([
      ["username", "TOO_SHORT"],
      ["email", "MALFORMED"],
    ]);
  });
});
