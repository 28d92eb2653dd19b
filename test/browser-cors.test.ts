import type { ServiceImpl } from "@connectrpc/connect";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { createCors } from "../src/gateway/cors.ts";
import { createGateway } from "../src/gateway/rest.ts";
import { createInvoke } from "../src/rpc/invoke.ts";
import { refusal } from "../src/rpc/reasons.ts";
import type { Service } from "../src/rpc/routes.ts";
import { startHttpListener } from "../src/server/http-listener.ts";
import type { Listener } from "../src/server/listener.ts";
import { startBrowser, type TestBrowser } from "./support/browser.ts";
import { createTestLog } from "./support/log.ts";
import { PASSWORD, signUpConfirmed } from "./support/people.ts";
import { type ScriptSite, startScriptSite } from "./support/script-site.ts";
import { startService, type TestService } from "./support/service.ts";
import type { SiteAnswer, SiteCall, SiteWay } from "./support/site-script.ts";

const WAYS: readonly SiteWay[] = ["Connect with JSON", "Connect with binary messages", "gRPC-Web", "REST"];

describe("a script on a page of another origin, in a browser,", () => {
  let listed: ScriptSite;
  let other: ScriptSite;
  let service: TestService;
  let browser: TestBrowser | undefined;
  before(async function () {
    listed = await startScriptSite();
    other = await startScriptSite();
    service = await startService({ config: { corsOrigins: [listed.origin] } });
    browser = await startBrowser(this, service);
  });
  after(async () => {
    await browser?.close();
    await service.stop();
    listed.close();
    other.close();
  });

  /** What a page of the site gets to read when it signs somebody in. */
  const signInFrom = async ({ origin }: ScriptSite, way: SiteWay, call: SiteCall) => {
    const { page, context, faults } = (await browser?.visit({ baseURL: origin })) ?? expect.fail();
    await page.goto("/");
    const answer = await page.evaluate<SiteAnswer>(`signIn[${JSON.stringify(way)}](${JSON.stringify(call)})`);
    await context.close();
    return { answer, faults };
  };
  const sessions = () => service.database.query("SELECT id FROM sessions");

  for (const way of WAYS) {
    describe(`by ${way}`, () => {
      it("signs in and calls with the token, where its origin is listed", async () => {
        const { username } = await signUpConfirmed(service);
        const call = { baseUrl: service.httpUrl, login: username, password: PASSWORD };
        const { answer } = await signInFrom(listed, way, call);
        expect(answer).to.deep.equal({ username });
      });

      it("reads why it was refused", async () => {
        const { username } = await signUpConfirmed(service);
        const call = { baseUrl: service.httpUrl, login: username, password: "a wrong password" };
        const { answer } = await signInFrom(listed, way, call);
        expect(answer).to.deep.equal({ reason: "INVALID_CREDENTIALS", retryAfter: undefined });
      });

      it("reads how long to wait for a service that has too much to do", async () => {
        const busy = await startBusyService(listed.origin);
        const baseUrl = `http://127.0.0.1:${busy.port}`;
        const { answer } = await signInFrom(listed, way, { baseUrl, login: "somebody", password: PASSWORD });
        busy.close();
        expect(answer).to.deep.equal({ reason: "OVERLOADED", retryAfter: 2 });
      });

      it("neither reads nor does anything from an origin that is not listed", async () => {
        const { username } = await signUpConfirmed(service);
        const before = await sessions();
        const call = { baseUrl: service.httpUrl, login: username, password: PASSWORD };
        const { answer, faults } = await signInFrom(other, way, call);
        expect(answer).to.deep.equal({ unreadable: "Failed to fetch" });
        expect(faults.join()).to.contain("has been blocked by CORS policy");
        expect(await sessions()).to.deep.equal(before);
      });
    });
  }
});

/** A service that has no room for another password, and lets pages of an origin know. */
function startBusyService(origin: string): Promise<Listener> {
  const signIn = () => {
    throw refusal("OVERLOADED", { retryAfterMs: 2_000 });
  };
  const impl: Partial<ServiceImpl<typeof AuthService>> = { signIn };
  const routes = { services: [{ desc: AuthService, impl: impl as Service["impl"] }], interceptors: [] };
  const log = createTestLog(() => {});
  const invoke = createInvoke(routes);
  const gateway = createGateway({
    ...{ invoke, log, publicUrl: "http://localhost:8080", issuer: "http://localhost:8080", passwordMinLength: 8 },
  });
  const cors = createCors([origin], gateway.isPage);
  return startHttpListener({ routes, gateway, cors, log, isReady: async () => true, host: "127.0.0.1", port: 0 });
}
