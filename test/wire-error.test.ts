import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { AuthError } from "../src/auth/errors.ts";
import { errorOf, Feed, startWire, transports, type Wire } from "./support/wire-kit.ts";

describe("an error of odd text", () => {
  let wire: Wire;
  before(async () => {
    wire = await startWire();
  });
  after(() => wire.server.close());

  // The last is cut in the middle of a pair.
  for (const text of ["\ud800", "a\udc00b", `x${"🙂".repeat(600)}`]) {
    it(`reaches every caller, well-formed and whole: ${JSON.stringify(text.slice(0, 4))}`, async () => {
      wire.handlers.signIn = () => {
        throw new ConnectError(text, Code.Aborted);
      };
      wire.handlers.watch = async function* () {
        yield { value: "one" };
        throw new ConnectError(text, Code.Aborted);
      };
      const seen = { code: Code.Aborted, message: text.slice(0, 1000).toWellFormed() };
      for (const [name, transport] of Object.entries(transports(wire))) {
        const readAll = async () => {
          for await (const _ of createClient(Feed, transport).watch({}));
        };
        expect(await errorOf(createClient(AuthService, transport).signIn({})), name).to.include(seen);
        expect(await errorOf(readAll()), name).to.include(seen);
      }
    });
  }

  it("reaches every caller when the text is in a detail", async () => {
    wire.handlers.signIn = () => {
      const violations = [{ field: "login", reason: "TOO_LONG", description: "\ud800" }] as const;
      throw new AuthError("INVALID_ARGUMENT", { violations });
    };
    for (const [name, transport] of Object.entries(transports(wire))) {
      const { code, details } = await errorOf(createClient(AuthService, transport).signIn({}));
      expect(code, name).to.equal(Code.InvalidArgument);
      expect(details[0]?.type, name).to.equal("google.rpc.ErrorInfo");
    }
  });
});
