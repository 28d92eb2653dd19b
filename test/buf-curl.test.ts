import { expect } from "chai";
import { newPerson, readMail } from "./support/people.ts";
import { findProgram, run } from "./support/programs.ts";
import { startService, type TestService } from "./support/service.ts";

describe("buf curl", () => {
  const program = findProgram("buf") ?? "node_modules/.bin/buf";
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const bufCurl = (options: readonly string[], url: string, request?: object) => {
    const data = request ? ["--data", JSON.stringify(request)] : [];
    return run(program, ["curl", ...options, ...data, url]);
  };

  it("lists the services by gRPC reflection", async () => {
    const grpc = ["--protocol", "grpc", "--http2-prior-knowledge"];
    const { stdout } = await bufCurl([...grpc, "--list-services"], service.grpcUrl);
    expect(stdout.split("\n")).to.include.members(["auth.v1.AuthService", "auth.v1.AdminService"]);
  });

  for (const [how, options, base] of [
    ["gRPC and reflection", ["--protocol", "grpc", "--http2-prior-knowledge"], "grpcUrl"],
    ["Connect and the .proto files", ["--protocol", "connect", "--schema", "proto"], "httpUrl"],
    ["gRPC-Web and the .proto files", ["--protocol", "grpcweb", "--schema", "proto"], "httpUrl"],
  ] as const) {
    it(`signs up, confirms, signs in and asks who it is over ${how}`, async () => {
      const { username, email, password } = newPerson();
      const call = async (rpc: string, request: object, ...more: readonly string[]) => {
        const { code, stdout, stderr } = await bufCurl(
          [...options, ...more],
          `${service[base]}/auth.v1.${rpc}`,
          request,
        );
        expect({ code, stderr }).to.deep.equal({ code: 0, stderr: "" });
        return JSON.parse(stdout);
      };
      await call("AuthService/SignUp", { username, email, password });
      const { token } = await readMail(service, email);
      await call("AuthService/ConfirmEmail", { token });
      const { tokens } = await call("AuthService/SignIn", { login: username, password });
      const header = `authorization: Bearer ${tokens.accessToken}`;
      const { user } = await call("AuthService/GetMe", {}, "--header", header);
      expect(user).to.include({ username, email, emailConfirmed: true });
    });

    it(`is shown a refusal with its details over ${how}`, async () => {
      const request = { login: "nobody", password: "x" };
      const { code, stderr } = await bufCurl(options, `${service[base]}/auth.v1.AuthService/SignIn`, request);
      expect(code).to.equal(16 << 3);
      const { message, details } = JSON.parse(stderr);
      expect(message).to.equal("Incorrect username or password");
      expect(JSON.stringify(details)).to.contain("google.rpc.ErrorInfo").and.contain("INVALID_CREDENTIALS");
    });
  }
});
