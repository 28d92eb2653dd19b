import { expect } from "chai";
import { authorization, BAD_TOKEN, expectJson, type HttpAnswer, postForm, postJson, send } from "./support/http.ts";
import { newPerson, PASSWORD, readMail, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";

describe("GET /api/auth/confirmed_email/{token}", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());

  const signUp = async () => {
    const person = newPerson();
    await postJson(service, "/api/auth/signup", person);
    return { ...person, path: `/api/auth/confirmed_email/${(await readMail(service, person.email)).token}` };
  };
  const isConfirmed = async ({ username }: { username: string }) =>
    (await postJson(service, "/api/auth/login", { username, password: PASSWORD })).status === 200;

  for (const accept of ["*/*", "application/json", null]) {
    it(`confirms for ${accept === null ? "a client that accepts nothing in particular" : `Accept: ${accept}`}`, async () => {
      const person = await signUp();
      // fetch would add an Accept of its own, which says the same as none.
      const headers = accept === null ? { accept: "" } : { accept };
      expectJson(await send(service, person.path, { headers }), 200, { message: "Email confirmed" });
      expect(await isConfirmed(person)).to.equal(true);
      const again = await send(service, person.path, { headers });
      expectJson(again, 200, { message: "Your email is already confirmed" });
    });
  }

  for (const accept of ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "Text/HTML"]) {
    it(`sends who accepts ${accept} to the page and confirms nothing`, async () => {
      const person = await signUp();
      const { status, headers } = await send(service, person.path, { headers: { accept, host: "evil.example" } });
      expect(status).to.equal(303);
      const page = headers.get("location") ?? "";
      expect(page).to.equal(person.path.replace("/api/auth/confirmed_email", "/account/confirm"));
      expect((await send(service, page)).status).to.equal(200);
      expect(await isConfirmed(person)).to.equal(false);
    });
  }

  it("confirms nothing on HEAD", async () => {
    const person = await signUp();
    const { status, text } = await send(service, person.path, { method: "HEAD" });
    expect([status, text]).to.deep.equal([200, ""]);
    expect(await isConfirmed(person)).to.equal(false);
  });

  it("answers 400 to a token that is none, of another kind or cut off", async () => {
    const { email, path } = await signUp();
    const { refreshToken } = await signIn(service, await signUpConfirmed(service));
    await service.auth.requestPasswordReset({ email });
    const { token: reset } = await readMail(service, email, 2);
    for (const token of ["x", "%00", "%E0%A4", refreshToken, reset, path.slice(path.lastIndexOf("/") + 1, -1)]) {
      expectJson(await send(service, `/api/auth/confirmed_email/${token}`), 400, BAD_TOKEN);
    }
  });

  it("keeps to itself the token with which a contested account's password is chosen", async () => {
    const { email, path, ...person } = await signUp();
    await postJson(service, "/api/auth/signup", { ...newPerson(), email, password: "planted password" });
    const message = "Email confirmed. Check your email to choose a password.";
    expectJson(await send(service, path), 200, { message });
    expect(await isConfirmed(person)).to.equal(false);
    expect((await readMail(service, email, 3)).kind).to.equal("reset");
  });
});

describe("POST /api/auth/block_user/{user_id}", () => {
  let service: TestService;
  let admin: Awaited<ReturnType<typeof signInAdmin>>;
  before(async () => {
    service = await startService();
    admin = await signInAdmin(service);
  });
  after(() => service.stop());

  const block = (id: unknown, body: object, token: unknown = admin.accessToken): Promise<HttpAnswer> =>
    postJson(service, `/api/auth/block_user/${id}`, body, authorization(token));

  it("blocks and unblocks for an admin; a block ends the sessions at once", async () => {
    const person = await signUpConfirmed(service);
    const { accessToken, refreshToken } = await signIn(service, person);
    const { id, username, email } = { ...person, id: Number(person.id) };
    expectJson(await block(id, { is_active: false }), 200, {
      ...{ message: "User blocked", id, username, email, is_active: false },
    });
    expectJson(await send(service, "/auth/me", { headers: authorization(accessToken) }), 401, BAD_TOKEN);
    expectJson(await postJson(service, "/auth/refresh", { refresh_token: refreshToken }), 401, BAD_TOKEN);
    const login = () => postForm(service, "/api/auth/login", { username, password: PASSWORD });
    expectJson(await login(), 403, { detail: "User is blocked", code: "USER_BLOCKED" });
    expectJson(await block(id, { is_active: true }), 200, {
      ...{ message: "User unblocked", id, username, email, is_active: true },
    });
    expect((await login()).status).to.equal(200);
    expectJson(await send(service, "/auth/me", { headers: authorization(accessToken) }), 401, BAD_TOKEN);
  });

  it("reads is_active from the query and from a form too", async () => {
    const { id } = await signUpConfirmed(service);
    const path = `/api/auth/block_user/${id}`;
    const headers = authorization(admin.accessToken);
    const byQuery = await send(service, `${path}?is_active=False`, { method: "POST", headers });
    expect([byQuery.status, byQuery.body.is_active]).to.deep.equal([200, false]);
    const byForm = await postForm(service, path, { is_active: "1" }, headers);
    expect([byForm.status, byForm.body.is_active]).to.deep.equal([200, true]);
    const torn = await postForm(service, `${path}?is_active=0`, { is_active: "1" }, headers);
    expect(torn.status).to.equal(422);
  });

  it("refuses everybody who is no admin, and changes nothing", async () => {
    const { id } = await signUpConfirmed(service);
    const { accessToken } = await signIn(service, await signUpConfirmed(service));
    const denied = { detail: "Permission denied", code: "PERMISSION_DENIED" };
    expectJson(await block(id, { is_active: false }, accessToken), 403, denied);
    expectJson(await block(id, { is_active: false }, admin.refreshToken), 401, BAD_TOKEN);
    expectJson(await postJson(service, `/api/auth/block_user/${id}`, { is_active: false }), 401, BAD_TOKEN);
    const [row] = await service.database.query("SELECT is_active FROM users WHERE id = $1", id);
    expect(row).to.deep.equal({ is_active: true });
  });

  it("answers 404 to an unknown user, 409 for the last admin and 422 to what is no id or no flag", async () => {
    expectJson(await block(999_999, { is_active: false }), 404, { detail: "User not found", code: "USER_NOT_FOUND" });
    expectJson(await block(admin.id, { is_active: false }), 409, {
      ...{ detail: "The last active admin cannot be blocked or demoted", code: "LAST_ADMIN" },
    });
    const fault = (loc: string[], msg: string, type: string) => ({
      detail: [{ loc, msg, type }],
      code: "INVALID_ARGUMENT",
    });
    expectJson(await block("ada", { is_active: false }), 422, fault(["path", "user_id"], "must be an id", "malformed"));
    expectJson(await block(admin.id, {}), 422, fault(["body", "is_active"], "must be given", "required"));
  });
});
