import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { Piscina } from "piscina";
import { AuthError, AuthService, httpSignIn, type SignedIn, type SignInSchema } from "../src/client/auth-client.ts";
import * as proto from "../src/client/proto.ts";
import { startFakeGateway } from "./support/fake-gateway.ts";
import { postJson } from "./support/http.ts";
import { fail, limited } from "./support/limits.ts";
import { bearer, newPerson, PASSWORD, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { startWire, urlOf } from "./support/wire-kit.ts";

/** The client by each way to a service. */
function clientsOf({ grpcUrl, httpUrl }: { grpcUrl: string; httpUrl: string }): Record<string, AuthService> {
  const connect = createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" });
  return {
    gRPC: new AuthService(createClient(proto.AuthService, createGrpcTransport({ baseUrl: grpcUrl }))),
    Connect: new AuthService(createClient(proto.AuthService, connect)),
    HTTP: new AuthService(httpSignIn(httpUrl)),
  };
}

/** What a refused sign-in tells; throws when it was not refused. */
async function refusalOf(call: Promise<unknown>) {
  const error = await call.then(
    () => null,
    (reason) => reason,
  );
  if (!(error instanceof AuthError)) throw new Error("no refusal", { cause: error });
  return { detail: error.detail, code: error.code };
}

describe("the gateway's client", () => {
  let service: TestService;
  let clients: Record<string, AuthService>;
  before(async () => {
    service = await startService();
    clients = clientsOf(service);
  });
  after(() => service.stop());

  /** What every way says of a refused sign-in, once it is clear that it is the same. */
  async function refusalOfAll(schema: SignInSchema) {
    const refusals = await Promise.all(Object.values(clients).map((client) => refusalOf(client.signIn(schema))));
    for (const refusal of refusals) expect(refusal).to.deep.equal(refusals[0]);
    const { status, body } = await postJson(service, "/sign-in", schema);
    expect({ detail: body.detail, code: body.code }).to.deep.equal(refusals[0]);
    return { status, ...refusals[0] };
  }

  it("gives what `POST /sign-in` answers, whichever way it goes", async () => {
    const { id, username, email } = await signUpConfirmed(service);
    const lifetimes = new Set<string>();
    for (const [way, client] of Object.entries(clients)) {
      const answer: SignedIn = await client.signIn({ username, password: PASSWORD });
      const { access_token, refresh_token, ...rest } = answer;
      const { body } = await postJson(service, "/sign-in", { username, password: PASSWORD });
      expect(Object.keys(answer), way).to.deep.equal(Object.keys(body));
      expect(rest.user, way).to.deep.equal({ id: Number(id), username, email, is_active: true });
      expect(rest.token_type, way).to.equal("bearer");
      lifetimes.add(`${rest.expires_in} ${rest.refresh_expires_in}`);
      const me = await service.auth.getMe({}, bearer(access_token));
      expect(me.user?.username, way).to.equal(username);
      expect((await service.auth.refreshToken({ refreshToken: refresh_token })).tokens, way).not.to.equal(undefined);
    }
    expect([...lifetimes]).to.deep.equal(["86400 2592000"]);
  });

  it("takes the login by any of its three names, and the device", async () => {
    const { username, email } = await signUpConfirmed(service);
    const logins = [{ login: email }, { username }, { email }, { login: null, username: undefined, email }];
    for (const [way, client] of Object.entries(clients)) {
      for (const login of logins) {
        const { access_token } = await client.signIn({ ...login, password: PASSWORD, device_name: way });
        expect((await service.auth.getMe({}, bearer(access_token))).session?.deviceName).to.equal(way);
      }
    }
  });

  it("tells refusals with the service's words and reason", async () => {
    const { username, id } = await signUpConfirmed(service);
    const wrong = { status: 401, detail: "Incorrect username or password", code: "INVALID_CREDENTIALS" };
    expect(await refusalOfAll({ username, password: "wrong password" })).to.deep.equal(wrong);
    expect(await refusalOfAll({ username: newPerson().username, password: PASSWORD })).to.deep.equal(wrong);
    await service.database.query("UPDATE users SET is_active = false WHERE id = $1", id);
    const blocked = { status: 403, detail: "User is blocked", code: "USER_BLOCKED" };
    expect(await refusalOfAll({ username, password: PASSWORD })).to.deep.equal(blocked);
    const unconfirmed = newPerson();
    await service.auth.signUp(unconfirmed);
    const waiting = { status: 401, detail: "Email not confirmed", code: "EMAIL_NOT_CONFIRMED" };
    expect(await refusalOfAll({ email: unconfirmed.email, password: PASSWORD })).to.deep.equal(waiting);
  });

  it("lists faulty members by the name that they were given by", async () => {
    const fault = (member: string, type: string, msg: string) => ({ loc: ["body", member], msg, type });
    const none = await refusalOfAll({ password: "" });
    expect(none).to.deep.equal({
      status: 422,
      code: "INVALID_ARGUMENT",
      detail: [fault("login", "required", "must be given"), fault("password", "required", "must be given")],
    });
    const long = await refusalOfAll({ email: "x".repeat(255), password: PASSWORD, device_name: "é".repeat(101) });
    expect(long.detail).to.deep.equal([
      fault("email", "too_long", "must be at most 254 bytes"),
      fault("device_name", "too_long", "must be at most 100 characters"),
    ]);
    const nul = await refusalOfAll({ username: "ada", password: "a\0b" });
    expect(nul.detail).to.deep.equal([fault("password", "malformed", "must be well-formed text without NUL")]);
  });

  it("lists values of a wrong type too, as they come in somebody's JSON", async () => {
    const schemas = [
      { username: 7, password: true, device_name: {}, device_token: [] },
      { login: "\ud800", email: "ada@example.com", password: PASSWORD },
      { password: null },
    ] as unknown as SignInSchema[];
    const refusals = [];
    for (const schema of schemas) refusals.push(await refusalOfAll(schema));
    const faulty = refusals.map(({ detail = [] }) => [...detail].map((fault) => Object.values(fault).join(" ")));
    expect(faulty).to.deep.equal([
      ["username", "password", "device_name", "device_token"].map((member) => `body,${member} must be text malformed`),
      ["body,login must be text malformed"],
      ["login", "password"].map((member) => `body,${member} must be given required`),
    ]);
  });

  it("says of a request that is too large that it was refused", async () => {
    const refusal = await refusalOfAll({ username: "ada", password: "x".repeat(70_000) });
    expect(refusal).to.deep.equal({ status: 413, detail: "Request body too large", code: "PAYLOAD_TOO_LARGE" });
  });

  it("tells an overload as the refusal that it is", async () => {
    const busy = await startService();
    const { username } = await signUpConfirmed(busy);
    const original = Piscina.prototype.run;
    // One hash that is said to have taken days makes every later one hopeless.
    Piscina.prototype.run = async () => ({ value: false, ms: 1e9 });
    await refusalOf(new AuthService(busy.auth).signIn({ username, password: PASSWORD })).finally(() => {
      Piscina.prototype.run = original;
    });
    for (const client of Object.values(clientsOf(busy))) {
      expect(await refusalOf(client.signIn({ username, password: PASSWORD }))).to.deep.equal({
        detail: "Service temporarily unavailable",
        code: "OVERLOADED",
      });
    }
    await busy.stop();
  });

  it("tells that there were too many attempts as the refusal that it is", async () => {
    const strict = await startService({ config: limited() });
    const { username } = newPerson();
    await fail(strict, username, 5);
    for (const client of Object.values(clientsOf(strict))) {
      expect(await refusalOf(client.signIn({ username, password: PASSWORD }))).to.deep.equal({
        detail: "Too many attempts, try again later",
        code: "RATE_LIMITED",
      });
    }
    await strict.stop();
  });

  it("tells that the database is away as the refusal that it is", async () => {
    const database = await createTestDatabase();
    const alone = await startService({ database });
    await database.drop();
    for (const client of Object.values(clientsOf(alone))) {
      expect(await refusalOf(client.signIn({ username: "ada", password: PASSWORD }))).to.deep.equal({
        detail: "Service temporarily unavailable",
        code: "UNAVAILABLE",
      });
    }
    await alone.stop();
  });

  it("passes the headers of a call on", async () => {
    const wire = await startWire();
    const gateway = await startFakeGateway();
    const seen: (string | null)[] = [];
    const tokens = { accessToken: "a", refreshToken: "r", tokenType: "bearer" };
    wire.handlers.signIn = (_request, { requestHeader }) => {
      seen.push(requestHeader.get("x-forwarded-for"));
      return { user: {}, tokens };
    };
    gateway.fake.answer = ({ context }) => {
      seen.push(context.header.get("x-forwarded-for"));
      return { user: {}, tokens };
    };
    const { gRPC, HTTP } = clientsOf({ grpcUrl: urlOf(wire.server.grpcPort), httpUrl: urlOf(gateway.port) });
    const headers = { "x-forwarded-for": "192.0.2.7" };
    for (const client of [gRPC, HTTP]) await client?.signIn({ username: "ada", password: PASSWORD }, { headers });
    await wire.server.close();
    gateway.close();
    expect(seen).to.deep.equal(["192.0.2.7", "192.0.2.7"]);
  });
});
