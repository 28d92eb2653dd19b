import { resolve } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { expect } from "chai";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { PASSWORD, signUpConfirmed } from "./support/people.ts";
import { run } from "./support/programs.ts";
import { startService, type TestService } from "./support/service.ts";

// buf curl's exit code is the gRPC code times eight.
const UNAUTHENTICATED = 16 * 8;

describe("buf curl", () => {
  const program = resolve("node_modules/.bin/buf");
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
    it(`signs in and asks who it is over ${how}`, async () => {
      const call = async (rpc: string, request: object, ...more: readonly string[]) => {
        const outcome = await bufCurl([...options, ...more], `${service[base]}/auth.v1.${rpc}`, request);
        expect(outcome).to.deep.include({ code: 0, stderr: "" });
        return JSON.parse(outcome.stdout);
      };
      const { username, email } = await signUpConfirmed(service);
      const { tokens } = await call("AuthService/SignIn", { login: username, password: PASSWORD });
      const header = `authorization: Bearer ${tokens.accessToken}`;
      const { user } = await call("AuthService/GetMe", {}, "--header", header);
      expect(user).to.include({ username, email, emailConfirmed: true });
    });

    it(`is shown a refusal with its details over ${how}`, async () => {
      const request = { login: "nobody", password: "x" };
      const { code, stderr } = await bufCurl(options, `${service[base]}/auth.v1.AuthService/SignIn`, request);
      expect(code).to.equal(UNAUTHENTICATED);
      const { message, details } = JSON.parse(stderr);
      expect(message).to.equal("Incorrect username or password");
      const [{ type, value }] = details;
      expect(type).to.equal("google.rpc.ErrorInfo");
      const info = fromBinary(ErrorInfoSchema, Buffer.from(value, "base64"));
      expect(info).to.include({ domain: "latchkey", reason: "INVALID_CREDENTIALS" });
    });
  }
});
