import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { createCors } from "../src/gateway/cors.ts";
import { startHttpListener } from "../src/server/http-listener.ts";
import { authorization, type HttpAnswer, postJson, send } from "./support/http.ts";
import { createTestLog } from "./support/log.ts";
import { signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";

const APP = "https://app.example.com";
const OTHER = "https://app.example.com.evil.example";
const SIGN_IN = "/auth.v1.AuthService/SignIn";

/** Everything that scripts of other origins may call, and how each refuses an empty request. */
const SHARED = [
  ["an RPC", "POST", SIGN_IN, 400],
  ["an RPC by the wrong method", "GET", SIGN_IN, 405],
  ["an RPC that is unknown", "POST", "/auth.v1.AuthService/Nothing", 404],
  ["a REST route", "POST", "/sign-in", 422],
  ["a REST route by the wrong method", "GET", "/sign-in", 405],
  ["a REST route for people signed in", "GET", "/auth/me", 401],
  ["a path that leads nowhere", "GET", "/nowhere", 404],
  ["a target that makes no URL", "GET", "//[", 400],
] as const;

const PAGES = [
  ...["/account/confirm", "/account/confirm/x", "/account/reset/x", "/account/reset/request"],
  ...["/dev/mailbox", "/dev/mailbox/1", "/dev/mailbox/1/html", "//dev//mailbox", "/d%65v/mailbox", "/dev/mailbox?to=a"],
];

describe("pages of other origins", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { corsOrigins: [APP, "http://localhost:5173"] } });
  });
  after(() => service.stop());

  const preflight = (path: string, origin: string, to: { httpUrl: string } = service) =>
    send(to, path, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,connect-protocol-version,content-type",
      },
    });

  describe("that are listed", () => {
    it("are told before a call what they may send", async () => {
      for (const [what, , path] of SHARED.slice(0, -1)) {
        const answer = await preflight(path, APP);
        expect([answer.status, answer.text], what).to.deep.equal([204, ""]);
        expect(corsHeaders(answer), what).to.deep.equal({
          "access-control-allow-origin": APP,
          "access-control-allow-methods": "GET, HEAD, POST",
          "access-control-allow-headers": ALLOWED_HEADERS,
          "access-control-max-age": "7200",
          vary: "Origin",
        });
        expect(answer.headers.get("content-length"), what).to.equal(null);
      }
    });

    for (const [what, method, path, status] of SHARED) {
      it(`can read how ${what} refuses`, async () => {
        const headers = { "content-type": "application/json", origin: APP };
        const answer = await send(service, path, { method, headers, ...(method === "POST" && { body: "{}" }) });
        expect(answer.status).to.equal(status);
        expect(corsHeaders(answer)).to.deep.equal(READABLE);
      });
    }

    it("can read that a body was too large", async () => {
      const answer = await postJson(service, "/sign-in", { login: "x".repeat(70_000) }, { origin: APP });
      expect(answer.status).to.equal(413);
      expect(corsHeaders(answer)).to.deep.equal(READABLE);
    });

    it("can read what fails for a reason that nobody foresaw", async () => {
      const failing = await startHttpListener({
        ...{ routes: { services: [], interceptors: [] }, host: "127.0.0.1", port: 0, log: createTestLog(() => {}) },
        gateway: () => Promise.reject(new Error("nobody foresaw it")),
        isReady: async () => true,
        cors: createCors([APP], () => false),
      });
      const httpUrl = `http://127.0.0.1:${failing.port}`;
      const answer = await send({ httpUrl }, "/sign-in", { headers: { origin: APP } });
      expect(answer).to.include({ status: 500 });
      expect(corsHeaders(answer)).to.deep.equal(READABLE);
      failing.close();
    });

    it("sign in and call by Connect, gRPC-Web and REST", async () => {
      const person = await signUpConfirmed(service);
      const { accessToken } = await signIn(service, person);
      const seen: HttpAnswer["headers"][] = [];
      const http = { baseUrl: service.httpUrl, httpVersion: "1.1" as const };
      const headers = { origin: APP, ...authorization(accessToken) };
      for (const transport of [
        createConnectTransport(http),
        createConnectTransport({ ...http, useBinaryFormat: true }),
        createGrpcWebTransport(http),
      ]) {
        const onHeader = (answered: Headers) => void seen.push(answered);
        const { user } = await createClient(AuthService, transport).getMe({}, { headers, onHeader });
        expect(user?.username).to.equal(person.username);
      }
      const rest = await send(service, "/auth/me", { headers });
      expect(rest.body).to.include({ username: person.username });
      for (const answered of [...seen, rest.headers])
        expect(corsHeaders({ headers: answered })).to.deep.equal(READABLE);
    });

    it("can ask whether the service lives", async () => {
      for (const path of ["/healthz", "/readyz"]) {
        const answer = await send(service, path, { headers: { origin: APP } });
        expect(answer.status).to.equal(200);
        expect(corsHeaders(answer)).to.deep.equal(READABLE);
      }
    });
  });

  describe("that are not listed", () => {
    const others = [OTHER, "null", "http://app.example.com", "https://app.example.com:444", "HTTPS://APP.EXAMPLE.COM"];

    it("are refused before a call", async () => {
      for (const origin of [...others, `${APP}/`, `${APP},${OTHER}`]) {
        const answer = await preflight(SIGN_IN, origin);
        expect(answer.status, origin).to.equal(403);
        expect(answer.body, origin).to.deep.equal({ detail: "Permission denied", code: "PERMISSION_DENIED" });
        expect(corsHeaders(answer), origin).to.deep.equal({ vary: "Origin" });
      }
    });

    it("are answered as who is no browser, and cannot read it", async () => {
      for (const origin of [...others, undefined]) {
        for (const path of ["/sign-in", SIGN_IN]) {
          const answer = await postJson(service, path, {}, origin === undefined ? {} : { origin });
          expect(answer.body.code, origin).to.be.oneOf(["INVALID_ARGUMENT", "invalid_argument"]);
          expect(corsHeaders(answer), origin).to.deep.equal({ vary: "Origin" });
        }
      }
    });
  });

  it("have nothing to read on the pages for people, be they listed or not", async () => {
    for (const path of PAGES) {
      for (const origin of [APP, OTHER]) {
        const answer = await send(service, path, { headers: { origin } });
        expect(answer.status, path).to.be.oneOf([200, 404]);
        expect(corsHeaders(answer), path).to.deep.equal({});
        const refusal = await preflight(path, origin);
        expect(refusal.status, path).to.equal(405);
        expect(corsHeaders(refusal), path).to.deep.equal({});
      }
    }
  });

  it("are told nothing by OPTIONS that is no preflight", async () => {
    for (const headers of [{ origin: APP }, { "access-control-request-method": "POST" }]) {
      expect(await send(service, "/sign-in", { method: "OPTIONS", headers })).to.include({ status: 405 });
    }
  });

  it("may not call a service that lists none", async () => {
    const alone = await startService({ database: service.database });
    const refusal = await preflight(SIGN_IN, APP, alone);
    expect(refusal.status).to.equal(405);
    expect(corsHeaders(refusal)).to.deep.equal({});
    expect(corsHeaders(await postJson(alone, "/sign-in", {}, { origin: APP }))).to.deep.equal({});
    await alone.stop();
  });
});

const ALLOWED_HEADERS = [
  ...["Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Connect-Content-Encoding"],
  ...["Connect-Accept-Encoding", "Content-Encoding", "Accept-Encoding", "Grpc-Message-Type", "X-Grpc-Web"],
  ...["X-User-Agent", "Grpc-Timeout", "Authorization"],
].join(", ");

/** What a listed origin finds on every answer that its pages may read. */
const READABLE = {
  "access-control-allow-origin": APP,
  "access-control-expose-headers": [
    ...["Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Content-Encoding", "Connect-Content-Encoding"],
    ...["Grpc-Retry-Pushback-Ms", "Retry-After", "WWW-Authenticate"],
  ].join(", "),
  vary: "Origin",
};

/** The headers of an answer that are about origins. */
function corsHeaders({ headers }: { readonly headers: Headers }): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name === "vary" || name.startsWith("access-control-")));
}
