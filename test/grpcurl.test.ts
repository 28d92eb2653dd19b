import { expect } from "chai";
import { holdLock } from "./support/locks.ts";
import { signIn, signUpConfirmed } from "./support/people.ts";
import { findProgram, run, skipWithout } from "./support/programs.ts";
import { startService, type TestService } from "./support/service.ts";

// What grpcurl adds to a gRPC code for its exit code.
const REFUSED = 64;

describe("grpcurl, without .proto files", () => {
  const program = findProgram("grpcurl") ?? "";
  let service: TestService;
  before(async function () {
    if (!program) skipWithout(this, "grpcurl");
    service = await startService();
  });
  after(() => service?.stop());

  const grpcurl = (options: readonly string[], ...rest: readonly string[]) =>
    run(program, ["-plaintext", ...options, new URL(service.grpcUrl).host, ...rest]);
  const call = async (rpc: string, request: object, ...options: readonly string[]) => {
    const { code, stdout, stderr } = await grpcurl([...options, "-d", JSON.stringify(request)], rpc);
    expect(stderr).to.equal("");
    expect(code).to.equal(0);
    return JSON.parse(stdout);
  };

  it("lists every service", async () => {
    const { stdout } = await grpcurl([], "list");
    expect(stdout.trim().split("\n")).to.have.members([
      "auth.v1.AdminService",
      "auth.v1.AuthService",
      "auth.v1.TokenService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
    const methods = await grpcurl([], "list", "auth.v1.AuthService");
    expect(methods.stdout.split("\n")).to.include.members(["auth.v1.AuthService.SignUp", "auth.v1.AuthService.GetMe"]);
  });

  for (const [symbol, words] of [
    ["auth.v1.AuthService", "rpc SignIn ( .auth.v1.SignInRequest ) returns ( .auth.v1.SignInResponse )"],
    ["auth.v1.SignInRequest", "bool fixed_refresh_token = 5;"],
    ["auth.v1.ErrorReason", "ERROR_REASON_LAST_ADMIN = 11;"],
    ["google.rpc.ErrorInfo", "map<string, string> metadata = 3;"],
    ["google.rpc.BadRequest", "repeated .google.rpc.BadRequest.FieldViolation field_violations = 1;"],
    ["google.rpc.RetryInfo", ".google.protobuf.Duration retry_delay = 1;"],
  ] as const) {
    it(`describes ${symbol}`, async () => {
      const { code, stdout, stderr } = await grpcurl([], "describe", symbol);
      expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
      expect(stdout).to.contain(words);
    });
  }

  it("is shown the details of a refusal, decoded", async () => {
    const { code, stderr } = await grpcurl(["-d", '{"login":"nobody","password":"x"}'], "auth.v1.AuthService/SignIn");
    expect(code).to.equal(REFUSED + 16);
    expect(stderr).to.contain("Code: Unauthenticated").and.contain("Message: Incorrect username or password");
    expect(stderr).to.match(/"@type": "type\.googleapis\.com\/google\.rpc\.ErrorInfo",\s+"domain": "latchkey",\s+/);
    expect(stderr).to.contain('"reason": "INVALID_CREDENTIALS"');
    const invalid = await grpcurl(["-d", '{"username":"x"}'], "auth.v1.AuthService/SignUp");
    expect(invalid.stderr).to.match(
      /"field": "username",\s+"description": "must be at least 2 characters",\s+"reason": "TOO_SHORT"/,
    );
  });

  it("is refused without a token", async () => {
    const { code, stderr } = await grpcurl(["-d", "{}"], "auth.v1.AuthService/GetMe");
    expect(code).to.equal(REFUSED + 16);
    expect(stderr).to.contain('"reason": "INVALID_TOKEN"');
  });

  it("checks and watches the health of each service", async () => {
    for (const name of ["", "auth.v1.AuthService", "auth.v1.AdminService"])
      expect(await call("grpc.health.v1.Health/Check", { service: name })).to.deep.equal({ status: "SERVING" });
    const unknown = await grpcurl(["-d", '{"service":"nobody"}'], "grpc.health.v1.Health/Check");
    expect(unknown.code).to.equal(REFUSED + 5);
    const watched = await grpcurl(["-max-time", "0.5", "-d", "{}"], "grpc.health.v1.Health/Watch");
    expect(watched.stdout).to.contain('"status": "SERVING"');
    expect(watched.code).to.equal(REFUSED + 4);
  });

  it("gives up at its deadline", async () => {
    const { accessToken } = await signIn(service, await signUpConfirmed(service));
    const lock = await holdLock(service, "LOCK TABLE sessions");
    const bearer = `authorization: Bearer ${accessToken}`;
    const { code, stderr } = await grpcurl(["-max-time", "1", "-H", bearer], "auth.v1.AuthService/GetMe");
    await lock.release();
    expect(code).to.equal(REFUSED + 4);
    expect(stderr).to.contain("Code: DeadlineExceeded");
    await call("auth.v1.AuthService/GetMe", {}, "-max-time", "10", "-H", bearer);
  });
});
