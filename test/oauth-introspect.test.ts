import { expect } from "chai";
import { type HttpAnswer, postForm, postJson, send } from "./support/http.ts";
import { bearer, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { passTime } from "./support/time.ts";
import { claimsOf } from "./support/tokens.ts";

const PATH = "/oauth2/introspect";
const DAY = 86_400_000;

type HttpHeaders = Record<string, string>;

const basic = (user: string, password: string): HttpHeaders => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});

/** As an answer of OAuth 2.0 must be, whatever it says (RFC 6749 section 5.1). */
function expectUncached({ headers }: HttpAnswer): void {
  expect(headers.get("content-type")).to.equal("application/json");
  expect(headers.get("cache-control")).to.equal("no-store");
  expect(headers.get("pragma")).to.equal("no-cache");
}

describe("POST /oauth2/introspect", () => {
  let service: TestService;
  let key: Awaited<ReturnType<typeof issueKey>>;
  before(async () => {
    service = await startService();
    key = await issueKey(service, ["introspect"]);
  });
  after(() => service.stop());

  const introspect = (members: HttpHeaders, headers: HttpHeaders = key.options.headers) =>
    postForm(service, PATH, members, headers);
  const newSession = async () => signIn(service, await signUpConfirmed(service));

  /** Checks a refusal: its status, the word of RFC 6749 section 5.2, and the challenge. */
  function expectRefusal(answer: HttpAnswer, status: number, error: string, challenge: string | null = null): void {
    expectUncached(answer);
    expect([answer.status, answer.body.error]).to.deep.equal([status, error]);
    expect(answer.headers.get("www-authenticate")).to.equal(challenge);
    expect(answer.body).to.have.all.keys("error", "error_description", "detail", "code");
  }

  it("tells what a good access token says", async () => {
    const tokens = await newSession();
    const answer = await introspect({ token: tokens.accessToken });
    expectUncached(answer);
    expect(answer.status).to.equal(200);
    expect(answer.body).to.deep.equal({ active: true, ...claimsOf(tokens), token_type: "Bearer" });
  });

  it("takes a hint and passes it over, be it right, wrong or unheard of", async () => {
    const { accessToken: token, refreshToken } = await newSession();
    for (const token_type_hint of ["access_token", "refresh_token", "saml2", ""]) {
      expect((await introspect({ token, token_type_hint })).body).to.include({ active: true });
      expect((await introspect({ token: refreshToken, token_type_hint })).text).to.equal('{"active":false}');
    }
  });

  it("says of everything else that it is not active, and nothing more", async () => {
    const person = await signUpConfirmed(service);
    const [ended, alive] = [await signIn(service, person), await signIn(service, person)];
    await service.auth.signOut({ refreshToken: ended.refreshToken });
    const { accessToken, refreshToken } = alive;
    const [head = "", body = "", signature = ""] = accessToken.split(".");
    const tokens = {
      "an ended session's": ended.accessToken,
      "a refresh token": refreshToken,
      "a service key": key.key,
      junk: "junk",
      "white space": " ",
      "what no header can hold": "é\r\n\0.x.y",
      "a signature of another": `${head}.${body}.${signature.split("").reverse().join("")}`,
      "the token twice": `${accessToken} ${accessToken}`,
      "50 KB": "x".repeat(50_000),
    };
    for (const [what, token] of Object.entries(tokens)) {
      const answer = await introspect({ token });
      expectUncached(answer);
      expect([answer.status, answer.text], what).to.deep.equal([200, '{"active":false}']);
    }
    expect((await introspect({ token: accessToken })).body).to.include({ active: true });
    await passTime(service, DAY);
    expect((await introspect({ token: accessToken })).text).to.equal('{"active":false}');
  });

  it("takes a service key in each form, by Basic form-encoded too", async () => {
    const { accessToken: token } = await newSession();
    const secret = key.key.slice(-43);
    const encode = (text: string) => text.replace(/[-_]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
    const forms: HttpHeaders[] = [
      key.options.headers,
      { authorization: `bearer  ${key.key}` },
      { "x-latchkey-key": key.key },
      { ...bearer(token).headers, "x-latchkey-key": key.key },
      basic(key.id, secret),
      basic(key.id, key.key),
      basic(encode(key.id), encode(secret)),
      basic(encode(key.id), encode(key.key)),
    ];
    for (const headers of forms)
      expect((await introspect({ token }, headers)).body, JSON.stringify(headers)).to.include({ active: true });
  });

  it("is refused without a good key, with the challenge of the scheme that was used, whatever the token", async () => {
    const { accessToken } = await newSession();
    const [asBasic, asBearer] = ['Basic realm="latchkey"', 'Bearer realm="latchkey", error="invalid_token"'];
    const both = 'Basic realm="latchkey", Bearer realm="latchkey"';
    const callers: [HttpHeaders, string][] = [
      [{}, both],
      [{ authorization: "Digest x" }, both],
      [{ "x-latchkey-key": "lk_x" }, both],
      [{ ...key.options.headers, "x-latchkey-key": "" }, asBearer],
      [{ authorization: "Bearer" }, asBearer],
      [{ authorization: `Bearer ${key.key}x` }, asBearer],
      [{ authorization: `Bearer ${key.key} ${key.key}` }, asBearer],
      [bearer(accessToken).headers, asBearer],
      [{ authorization: "Basic" }, asBasic],
      [{ authorization: "basic !!!" }, asBasic],
      [basic("", ""), asBasic],
      [basic(key.id, "wrong\r\n"), asBasic],
      [basic("somebody", key.key), asBasic],
      [basic(key.key, ""), asBasic],
    ];
    for (const [headers, challenge] of callers) {
      const [good, bad] = [
        await introspect({ token: accessToken }, headers),
        await introspect({ token: "x" }, headers),
      ];
      expectRefusal(good, 401, "invalid_client", challenge);
      expect(bad.text).to.equal(good.text);
    }
  });

  it("tells a key without the scope nothing of a token", async () => {
    const { accessToken } = await newSession();
    const { id, key: other, options } = await issueKey(service, ["watch", "admin", "gateway"]);
    const challenge = 'Bearer realm="latchkey", error="insufficient_scope"';
    for (const token of [accessToken, "x"]) {
      expectRefusal(await introspect({ token }, options.headers), 403, "insufficient_scope", challenge);
      expectRefusal(await introspect({ token }, basic(id, other)), 403, "insufficient_scope");
    }
  });

  it("takes one token, in a form, and nothing in its place", async () => {
    const { accessToken } = await newSession();
    const form = (body: string, type = "application/x-www-form-urlencoded") => ({
      ...{ method: "POST", body },
      headers: { ...key.options.headers, "content-type": type },
    });
    const requests = [
      form(""),
      form("token="),
      form(`token=${accessToken}&token=${accessToken}`),
      form(`token=${accessToken}&token_type_hint=a&token_type_hint=a`),
      form("token=%ff"),
      form(`token=${accessToken}`, "text/plain"),
      form(`token=${accessToken}`, ""),
      form(JSON.stringify({ token: accessToken }), "application/json"),
      { method: "POST", headers: key.options.headers },
    ];
    for (const request of requests) expectRefusal(await send(service, PATH, request), 400, "invalid_request");
    const inQuery = await send(service, `${PATH}?token=${accessToken}`, form("x=1"));
    expectRefusal(inQuery, 400, "invalid_request");
    const charset = form(`token=${accessToken}&x=1&x=2`, "application/x-www-form-urlencoded; charset=UTF-8");
    expect((await send(service, PATH, charset)).body).to.include({ active: true });
  });

  it("takes no credentials in the form, which would otherwise go unchecked", async () => {
    const { accessToken: token } = await newSession();
    const given = { token, client_id: key.id };
    const challenge = 'Bearer realm="latchkey", error="invalid_token"';
    for (const member of ["client_secret", "client_assertion"])
      expectRefusal(await introspect({ ...given, [member]: "x" }), 401, "invalid_client", challenge);
    expect((await introspect(given)).body).to.include({ active: true });
  });

  it("answers to no other method, body or type, in the words of OAuth 2.0", async () => {
    for (const method of ["GET", "PUT"]) {
      const answer = await send(service, `${PATH}?token=x`, { method, headers: key.options.headers });
      expectRefusal(answer, 405, "invalid_request");
      expect(answer.headers.get("allow"), method).to.equal("POST");
    }
    expect((await send(service, PATH, { method: "HEAD" })).status).to.equal(405);
    expectRefusal(await introspect({ token: "x".repeat(1_000_000) }), 413, "invalid_request");
    for (const type of ["application/json", "text/plain"]) {
      const headers = { ...key.options.headers, "content-type": type };
      expectRefusal(await send(service, PATH, { method: "POST", body: "{}", headers }), 400, "invalid_request");
    }
  });

  it("is no more than the RPC of its name tells", async () => {
    const { accessToken: token } = await newSession();
    const rpc = "/auth.v1.TokenService/IntrospectToken";
    const { body } = await postJson(service, rpc, { token }, key.options.headers);
    const { claims } = body as { claims: Record<string, unknown> };
    const { sub, sid, jti, username } = (await introspect({ token })).body;
    const { userId, sessionId, tokenId } = claims;
    expect({ userId, sessionId, tokenId, username: claims.username }).to.deep.equal({
      ...{ userId: sub, sessionId: sid, tokenId: jti, username },
    });
    expect((await postJson(service, rpc, { token: "x" }, key.options.headers)).text).to.equal("{}");
  });
});
