import { expect } from "chai";
import { calculateJwkThumbprint, importJWK, type JWK, jwtVerify } from "jose";
import { signIn, signUpConfirmed } from "./support/people.ts";
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
});
