import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect } from "chai";
import { SignUpRequestSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { expectHarmless } from "./support/cases.ts";
import { send } from "./support/http.ts";
import { newPerson } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { framed, sendGrpc, type Wire } from "./support/wire-kit.ts";
import { webRefusal } from "./support/wire-refusals.ts";

const SIGN_UP = "/auth.v1.AuthService/SignUp";

/** A request in each of its forms; `gzip` is how it says that it is compressed, `tooLong` that nobody reads it. */
interface Sent {
  readonly proto: Uint8Array;
  readonly json: string | Uint8Array;
  readonly gzip?: boolean;
  readonly tooLong?: boolean;
}

const [UNREAD, READ] = [
  { unrecorded: "what is too long ends before it is known what it asks for" },
  { recorded: { "sign_up_refused INVALID_ARGUMENT": 6 } },
];

const whole = (changes: object) => toBinary(SignUpRequestSchema, create(SignUpRequestSchema, changes));
const json = (changes: object) => JSON.stringify({ ...newPerson(), ...changes });
const [LONG, BOMB] = ["x".repeat(64 * 1024), gzipSync(Buffer.alloc(50_000_000))];

/** Sign-ups that would each be good but for one thing. */
const REQUESTS: Readonly<Record<string, Sent>> = {
  "more than 64 KiB": { proto: whole({ ...newPerson(), locale: LONG }), json: json({ locale: LONG }), tooLong: true },
  "a gzip bomb": { proto: BOMB, json: BOMB, gzip: true, tooLong: true },
  "text that is not UTF-8": {
    proto: Buffer.concat([whole({ ...newPerson() }), Buffer.of(0x22, 2, 0xc3, 0x28)]),
    json: Buffer.from(json({ locale: "\xc3\x28" }), "latin1"),
  },
  "a message cut short": { proto: whole(newPerson()).subarray(0, -3), json: json({}).slice(0, -3) },
  "20,000 levels": {
    proto: Buffer.concat([whole(newPerson()), Buffer.alloc(20_000, 0x7b), Buffer.alloc(20_000, 0x7c)]),
    json: `{"username":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
  },
  "nothing at all": { proto: Buffer.of(), json: "" },
};

describe("the service, over every protocol and by REST,", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const portOf = (url: string) => Number(new URL(url).port);
  const byGrpc = async (headers: object, body: Uint8Array) => {
    const wire = { server: { grpcPort: portOf(service.grpcUrl) } } as Wire;
    return (await sendGrpc(wire, { ":path": SIGN_UP, ...headers }, body)).trailers;
  };
  const post = (path: string, type: string, body: string | Uint8Array, headers: Record<string, string> = {}) =>
    send(service, path, { method: "POST", headers: { "content-type": type, ...headers }, body: Buffer.from(body) });

  for (const [what, { proto, json, gzip, tooLong }] of Object.entries(REQUESTS)) {
    it(`refuses a sign-up that is ${what}, and nothing comes of it`, async () => {
      const frame = framed(proto, gzip ? 1 : 0);
      const [grpcGzip, httpGzip] = gzip ? [{ "grpc-encoding": "gzip" }, { "content-encoding": "gzip" }] : [];
      await expectHarmless(service, tooLong ? UNREAD : READ, async () => {
        const grpc = await byGrpc({ ...grpcGzip }, frame);
        const web = await post(SIGN_UP, "application/grpc-web+proto", frame, grpcGzip);
        // INVALID_ARGUMENT or RESOURCE_EXHAUSTED.
        for (const code of [Number(grpc["grpc-status"]), webRefusal(web.text).code]) expect(code).to.be.oneOf([3, 8]);
        const http = [
          await post(SIGN_UP, "application/proto", proto, httpGzip),
          await post(SIGN_UP, "application/json", json, httpGzip),
          await post("/api/auth/signup", "application/json", json, httpGzip),
          await post("/auth/signup", "application/x-www-form-urlencoded", json, httpGzip),
        ];
        for (const { status } of http) expect(status).to.be.oneOf([400, 413, 415, 422, 429]);
        return [grpc, web, ...http];
      });
    });
  }
});
