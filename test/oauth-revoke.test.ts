import { expect } from "chai";
import { postForm, send } from "./support/http.ts";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";
import { passTime } from "./support/time.ts";
import { refresh } from "./support/tokens.ts";

const PATH = "/oauth2/revoke";

type Members = Record<string, string>;

describe("POST /oauth2/revoke", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const revoke = async (members: Members, headers: Members = {}) => {
    const { status, text } = await postForm(service, PATH, members, headers);
    return [status, text];
  };
  const newSession = async (fixedRefreshToken = false) => {
    const { username, password } = await signUpConfirmed(service);
    const { tokens } = await service.auth.signIn({ login: username, password, fixedRefreshToken });
    if (!tokens) throw new Error("a sign-in gave no tokens");
    return tokens;
  };
  const isAlive = async (accessToken: string) =>
    (await refusalOf(service.auth.getMe({}, { headers: { authorization: `Bearer ${accessToken}` } }))) === "";
  const expectEnded = async (tokens: { accessToken: string; refreshToken: string }) => {
    expect(await isAlive(tokens.accessToken)).to.equal(false);
    expect(await refusalOf(refresh(service, tokens.refreshToken))).to.equal("INVALID_TOKEN");
  };

  for (const fixed of [false, true]) {
    for (const kind of ["accessToken", "refreshToken"] as const) {
      const words = `${fixed ? "whose refresh token is fixed" : "whose refresh token changes"}`;
      it(`ends a session ${words} by its ${kind === "accessToken" ? "access" : "refresh"} token, and both with it`, async () => {
        const tokens = await newSession(fixed);
        const other = await newSession(fixed);
        expect(await revoke({ token: tokens[kind] })).to.deep.equal([200, "{}"]);
        await expectEnded(tokens);
        expect(await isAlive(other.accessToken)).to.equal(true);
        expect(await revoke({ token: tokens[kind] })).to.deep.equal([200, "{}"]);
      });
    }
  }

  it("ends a session by a refresh token that was spent", async () => {
    const first = await newSession();
    const next = await refresh(service, first.refreshToken);
    expect(await revoke({ token: first.refreshToken })).to.deep.equal([200, "{}"]);
    await expectEnded(next);
  });

  it("passes the hint over, be it right, wrong or unheard of", async () => {
    for (const token_type_hint of ["access_token", "refresh_token", "saml2", ""]) {
      for (const kind of ["accessToken", "refreshToken"] as const) {
        const tokens = await newSession();
        expect(await revoke({ token: tokens[kind], token_type_hint })).to.deep.equal([200, "{}"]);
        await expectEnded(tokens);
      }
    }
  });

  it("says of every other token that it is no good any more, which is true", async () => {
    const { key } = await issueKey(service, ["introspect"]);
    const [expired, alive] = [await newSession(), await newSession()];
    const tokens = ["x", "x.y.z", "é\r\n\0.x.y", "a b.c.d", ".", `${alive.accessToken}x`, key, "x".repeat(50_000)];
    for (const token of tokens) expect(await revoke({ token }), token.slice(0, 20)).to.deep.equal([200, "{}"]);
    expect(await isAlive(alive.accessToken)).to.equal(true);
    expect(await refusalOf(tokenClient(service).introspectToken({}, { headers: { "x-latchkey-key": key } }))).to.equal(
      "",
    );
    await passTime(service, 86_400_000);
    expect(await revoke({ token: expired.accessToken })).to.deep.equal([200, "{}"]);
    expect(await refusalOf(refresh(service, expired.refreshToken))).to.equal("");
  });

  it("needs no service key, takes every good one, and refuses a bad one before it ends anything", async () => {
    const { id, key } = await issueKey(service, ["watch"]);
    const basic = (user: string, password: string) => ({
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
    });
    const tokens = await newSession();
    const bad: Members[] = [
      { authorization: `Bearer ${key}x` },
      { "x-latchkey-key": `${key}x` },
      { "x-latchkey-key": "" },
      { authorization: "Basic" },
      basic(id, "wrong"),
      basic(id, "wrong\r\nx: y"),
      basic("client", ""),
    ];
    for (const headers of bad) {
      const {
        status,
        body,
        headers: answered,
      } = await postForm(service, PATH, { token: tokens.refreshToken }, headers);
      expect([status, body.error], JSON.stringify(headers)).to.deep.equal([401, "invalid_client"]);
      const { authorization = "Basic" } = headers;
      expect(answered.get("www-authenticate")).to.match(new RegExp(`^${authorization.split(" ")[0]} realm="latchkey"`));
    }
    const inForm = { token: tokens.refreshToken, client_id: id, client_secret: key };
    expect((await postForm(service, PATH, inForm)).body).to.include({ error: "invalid_client" });
    expect(await isAlive(tokens.accessToken)).to.equal(true);

    const others = { authorization: `Bearer ${(await newSession()).accessToken}` };
    for (const headers of [{}, { authorization: `Bearer ${key}` }, { "x-latchkey-key": key }, basic(id, key), others]) {
      const ended = await newSession();
      expect(await revoke({ token: ended.accessToken, client_id: id }, headers)).to.deep.equal([200, "{}"]);
      await expectEnded(ended);
    }
    expect(await isAlive(others.authorization.slice(7))).to.equal(true);
  });

  it("takes one token, in a form, by POST", async () => {
    const { refreshToken, accessToken } = await newSession();
    const type = "application/x-www-form-urlencoded";
    const requests: [string, string][] = [
      ["", type],
      ["token=", type],
      [`token=${refreshToken}&token=${refreshToken}`, type],
      [`token=${refreshToken}&token_type_hint=a&token_type_hint=b`, type],
      [`token=${refreshToken}`, "text/plain"],
      [JSON.stringify({ token: refreshToken }), "application/json"],
    ];
    for (const [body, contentType] of requests) {
      const answer = await send(service, PATH, { method: "POST", body, headers: { "content-type": contentType } });
      expect([answer.status, answer.body.error], body).to.deep.equal([400, "invalid_request"]);
      expect(answer.headers.get("cache-control")).to.equal("no-store");
    }
    for (const method of ["GET", "DELETE"]) {
      const { status, headers, body } = await send(service, `${PATH}?token=${refreshToken}`, { method });
      expect([status, headers.get("allow"), body.error]).to.deep.equal([405, "POST", "invalid_request"]);
    }
    const { status, body } = await postForm(service, PATH, { token: refreshToken, more: "x".repeat(100_000) });
    expect([status, body.error]).to.deep.equal([413, "invalid_request"]);
    expect(await isAlive(accessToken)).to.equal(true);
  });

  it("says that it could not be done when the database is away", async () => {
    const database = await createTestDatabase();
    const other = await startService({ database });
    const { refreshToken } = await signIn(other, await signUpConfirmed(other));
    await database.drop();
    const { status, body } = await postForm(other, PATH, { token: refreshToken });
    await other.stop();
    expect([status, body.error]).to.deep.equal([503, "temporarily_unavailable"]);
  });
});
