import { expect } from "chai";
import { expectHarmless } from "./support/cases.ts";
import { authorization, BAD_TOKEN, type HttpAnswer, postJson, send } from "./support/http.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { bearer, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import type { TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";
import { countLive, storedSession } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const SECOND = 1000;
const GRACE = 30 * SECOND;

interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** Spends a refresh token; null when it is refused as every bad token is. */
type Refresh = (service: TestService, refreshToken: string) => Promise<TokenPair | null>;

const WAYS: Readonly<Record<string, Refresh>> = {
  gRPC: async ({ auth }, refreshToken) => {
    const call = auth.refreshToken({ refreshToken });
    const refusal = await refusalOf(call);
    if (refusal === "") return (await call).tokens ?? null;
    expect(refusal).to.equal("INVALID_TOKEN");
    return null;
  },
  "Connect JSON": async (service, refreshToken) => {
    const answer = await postJson(service, "/auth.v1.AuthService/RefreshToken", { refreshToken });
    if (answer.status === 200) return answer.body.tokens as TokenPair;
    expect(answer.body).to.include({ code: "unauthenticated", message: BAD_TOKEN.detail });
    return null;
  },
  "POST /auth/refresh": async (service, refreshToken) =>
    pairIn(await postJson(service, "/auth/refresh", { refresh_token: refreshToken })),
  "GET /api/auth/refresh_token": async (service, refreshToken) =>
    pairIn(await send(service, "/api/auth/refresh_token", { headers: authorization(refreshToken) })),
};

function pairIn({ status, body }: HttpAnswer): TokenPair | null {
  if (status === 200) return { accessToken: String(body.access_token), refreshToken: String(body.refresh_token) };
  expect(body).to.deep.equal(BAD_TOKEN);
  return null;
}

describe("a session", () => {
  let pair: Pair;
  let first: TestService;
  let second: TestService;
  let admin: Awaited<ReturnType<typeof signInAdmin>>;
  let person: Awaited<ReturnType<typeof signUpConfirmed>>;
  before(async () => {
    pair = await startPair();
    ({ first, second } = pair);
    admin = await signInAdmin(first);
  });
  beforeEach(async () => {
    person = await signUpConfirmed(first);
  });
  after(() => pair.stop());

  for (const [way, refresh] of Object.entries(WAYS)) {
    describe(`that is refreshed by ${way}`, () => {
      const setActive = (isActive: boolean) =>
        first.admin.setUserActive({ userId: person.id, isActive }, admin.options);

      /** Has the audit log tell of all that the second process knows. */
      const recordInSecond = () => second.admin.listAuditEvents({ pageSize: 1 }, admin.options);

      /** Whether a service takes an access token, by gRPC, Connect JSON and REST alike. */
      async function takes(service: TestService, { accessToken }: TokenPair): Promise<boolean> {
        const headers = authorization(accessToken);
        const answers = [
          (await refusalOf(service.auth.getMe({}, bearer(accessToken)))) === "",
          (await postJson(service, "/auth.v1.AuthService/GetMe", {}, headers)).status === 200,
          (await send(service, "/auth/me", { headers })).status === 200,
        ];
        expect(new Set(answers).size).to.equal(1);
        return answers[0] ?? false;
      }

      /** Refreshes that many times, one after the other; gives every pair, that of the sign-in first. */
      async function chain(turns: number) {
        const pairs: TokenPair[] = [await signIn(first, person)];
        for (let turn = 0; turn < turns; turn++) pairs.push(await renewed(pairs.at(-1)));
        return pairs;
      }

      async function renewed(tokens: TokenPair | undefined): Promise<TokenPair> {
        const next = await refresh(first, tokens?.refreshToken ?? "");
        if (!next) throw new Error("a refresh was refused");
        return next;
      }

      /** A use of an old token, upon which nothing of the session works any more, here and in another process. */
      async function expectEndedBy(old: TokenPair, all: readonly TokenPair[]): Promise<void> {
        const replay = async () => [await refresh(first, old.refreshToken)];
        await recordInSecond();
        const recorded = { "refresh_token_reused INVALID_TOKEN": 1 };
        await expectHarmless(first, { recorded, changes: ["sessions", "revocations"] }, replay);
        expect(await storedSession(first, old)).to.include({ ended: true, endReason: "reused" });
        expect(await countLive(first, person.id)).to.equal(0);
        await expectDead(all);
      }

      async function expectDead(all: readonly TokenPair[]): Promise<void> {
        for (const tokens of all) {
          expect(await takes(first, tokens)).to.equal(false);
          await waitUntil(async () => !(await takes(second, tokens)), SECOND);
          for (const service of [first, second]) expect(await refresh(service, tokens.refreshToken)).to.equal(null);
        }
      }

      it("gives the same successor to its last token a second before the grace ends, and ends a second after", async () => {
        const [old, current] = await chain(1);
        if (!old || !current) throw new Error("no pairs");
        await passTime(first, GRACE - SECOND);
        expect((await renewed(old)).refreshToken).to.equal(current.refreshToken);
        expect(await takes(first, current)).to.equal(true);
        await passTime(first, 2 * SECOND);
        await expectEndedBy(old, [old, current]);
      });

      it("ends when a token of two turns ago is used, within the grace too", async () => {
        const pairs = await chain(2);
        for (const tokens of pairs) expect(await takes(first, tokens)).to.equal(true);
        await expectEndedBy(pairs[0] as TokenPair, pairs);
      });

      it("stays ended when the account is blocked and unblocked, whatever old token comes", async () => {
        const pairs = await chain(1);
        await setActive(false);
        await expectDead(pairs);
        await setActive(true);
        await recordInSecond();
        // Each is shown three times to both processes, and spent once at both.
        const recorded = { "token_refused INVALID_TOKEN": 8 * pairs.length };
        await expectHarmless(first, { recorded }, async () => {
          await expectDead(pairs);
          await recordInSecond();
          return [];
        });
        expect(await countLive(first, person.id)).to.equal(0);
      });

      it("begun anew within the second of a block and its end lives, in every process, and the old one does not", async () => {
        const old = await chain(0);
        await setActive(false);
        await setActive(true);
        const anew = await signIn(first, person);
        expect(await takes(first, anew)).to.equal(true);
        await expectDead(old);
        for (const service of [first, second]) expect(await takes(service, anew)).to.equal(true);
        expect(await takes(second, await renewed(anew))).to.equal(true);
        expect(await countLive(first, person.id)).to.equal(1);
      });
    });
  }
});
