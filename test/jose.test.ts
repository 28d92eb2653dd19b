import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Code } from "@connectrpc/connect";
import { expect } from "chai";
import { calculateJwkThumbprint, importJWK, type JWK, jwtVerify } from "jose";
import { forgedTokens } from "./support/forged-tokens.ts";
import { authorization, BAD_TOKEN, expectJson, postJson, send } from "./support/http.ts";
import { bearer, signIn, signUpConfirmed } from "./support/people.ts";
import { errorOf, statusOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { claimsOf } from "./support/tokens.ts";

describe("an access token", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  it("is verified by jose with the stored public key, and says what it must and no more", async () => {
    const person = await signUpConfirmed(service);
    await service.database.query("UPDATE users SET roles = '{dev,ops}' WHERE id = $1", person.id);
    const [row] = await service.database.query<{ id: string; jwk: JWK }>(
      "SELECT id, public_jwk AS jwk FROM keys WHERE purpose = 'sign_access'",
    );
    const { id = "", jwk = {} } = row ?? {};
    expect(jwk).to.have.all.keys("kty", "crv", "x", "y");
    const { accessToken, accessExpireTime, options, user } = await signIn(service, person);
    const { session } = await service.auth.getMe({}, options);

    const verified = await jwtVerify(accessToken, await importJWK(jwk, "ES256"), {
      ...{ algorithms: ["ES256"], typ: "at+jwt", issuer: "http://localhost:8080", audience: "latchkey" },
      requiredClaims: ["sub", "sid", "jti", "iat", "exp", "username", "roles"],
    });
    expect(verified.protectedHeader).to.deep.equal({ alg: "ES256", kid: id, typ: "at+jwt" });
    expect(await calculateJwkThumbprint(jwk)).to.equal(id);
    const { iss, aud, sub, sid, jti, iat, exp, username, roles, ...rest } = verified.payload;
    expect(rest).to.deep.equal({});
    expect({ iss, aud, sub, sid }).to.deep.equal({
      ...{ iss: "http://localhost:8080", aud: "latchkey" },
      ...{ sub: String(user.id), sid: session?.id },
    });
    expect({ username, roles }).to.deep.equal({ username: person.username, roles: ["dev", "ops"] });
    expect(Number(exp) - Number(iat)).to.equal(86_400);
    expect(BigInt(exp ?? 0)).to.equal(accessExpireTime?.seconds);
    expect(jti).to.match(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(claimsOf(await signIn(service, person)).jti).not.to.equal(jti);
  });

  describe("that is forged", () => {
    const connections: unknown[] = [];
    const listener = createServer().on("connection", (socket) => {
      connections.push(socket);
      socket.destroy();
    });
    let tokens: ReturnType<typeof forgedTokens>;
    before(async () => {
      await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
      tokens = forgedTokens({
        ...(await stolen()),
        url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
      });
    });
    after(() => listener.close());

    /** A signed-in person's claims, and the service's own key, which is more than any forger has. */
    async function stolen() {
      const claims = claimsOf(await signIn(service, await signUpConfirmed(service)));
      return { claims, key: service.app.signingKeys.current(), now: Math.floor(Date.now() / 1000) };
    }
    const byConnect = (token: string) => postJson(service, "/auth.v1.AuthService/GetMe", {}, authorization(token));
    const byRest = (token: string) => send(service, "/auth/me", { headers: authorization(token) });
    const byGrpc = (token: string) => service.auth.getMe({}, bearer(token));

    it("is refused the same way over gRPC, Connect and REST, whatever is wrong with it, and nothing is fetched", async () => {
      const refusal = await statusOf(service.auth.getMe({}));
      const { text } = await postJson(service, "/auth.v1.AuthService/GetMe", {});
      expect(refusal).to.contain("Invalid or expired token");
      for (const [what, token] of Object.entries(tokens.forged)) {
        expect(await statusOf(byGrpc(token)), what).to.equal(refusal);
        expect(await byConnect(token), what).to.deep.include({ status: 401, text });
        expectJson(await byRest(token), 401, BAD_TOKEN);
      }
      expect(connections).to.be.empty;
    });

    it("would have been taken without the forgery", async () => {
      for (const token of [tokens.fair, tokens.early]) {
        expect((await byGrpc(token)).session?.id).to.equal(claimsOf({ accessToken: token }).sid);
        expect((await byConnect(token)).status).to.equal(200);
        expect((await byRest(token)).status).to.equal(200);
      }
    });

    it("is refused with all the headers when it is too long for them", async () => {
      const long = `${tokens.fair}${"A".repeat(10_000)}`;
      for (const answer of [await byConnect(long), await byRest(long)]) expect(answer.status).to.equal(431);
      // A client that still writes when the answer comes may see no more of it than the connection's end.
      const huge = "A".repeat(1_000_000);
      for (const call of [byConnect(huge), byRest(huge)])
        expect(
          await call.then(
            ({ status }) => status,
            () => "closed",
          ),
        ).to.be.oneOf([431, "closed"]);
      for (const token of [long, huge]) {
        const { code } = await errorOf(byGrpc(token));
        expect(code).to.be.oneOf([Code.ResourceExhausted, Code.Internal, Code.Unavailable]);
      }
      expect((await byRest(tokens.fair)).status).to.equal(200);
      expect((await byGrpc(tokens.fair)).user?.isActive).to.equal(true);
    });
  });
});
