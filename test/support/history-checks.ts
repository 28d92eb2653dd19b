import { isDeepStrictEqual } from "node:util";
import { expect } from "chai";
import type { Actor } from "./history-calls.ts";
import type { Holding } from "./history-holders.ts";
import { type Account, isActive, UNKNOWN, type World } from "./history-model.ts";
import type { Stored } from "./history-rows.ts";
import { bearer, refusalOf } from "./people.ts";
import type { TestService } from "./service.ts";

/** A verifier's clock may be behind by this much: so long a revocation outlives the last token it names. */
const LEEWAY_MS = 30_000;

/** The worlds that are as the database is, to the row; there is at least one. */
export function requireAgreement(worlds: readonly World[], stored: Stored, actors: readonly Actor[]): World[] {
  const known = worlds.map((world) => ({ ...world, accounts: world.accounts.map(withResetOf(stored, actors)) }));
  const { sessions, accounts } = stored;
  const agreeing = known.filter((world) => isDeepStrictEqual(asStored(world), { sessions, accounts }));
  if (agreeing.length === 0) expect({ sessions, accounts }, "rows").to.deep.equal(known[0] && asStored(known[0]));
  return agreeing;
}

// The model cannot tell the id of a new reset token: it may be any that nobody has seen before.
function withResetOf({ accounts }: Stored, actors: readonly Actor[]) {
  return (account: Account, user: number): Account => {
    const id = accounts[user]?.resets[0];
    const isNew = id !== undefined && !actors[user]?.resets.some((reset) => reset.id === id);
    return account.reset?.id === UNKNOWN && isNew ? { ...account, reset: { ...account.reset, id } } : account;
  };
}

function asStored(world: World): Pick<Stored, "sessions" | "accounts"> {
  const accounts = world.accounts.map(({ reset }, user) => ({
    active: isActive(world, user),
    resets: reset && reset.expiresAt > world.now ? [reset.id] : [],
  }));
  return { sessions: world.sessions, accounts };
}

/** Whatever access token a session gave: it ends with the session, and a revocation outlives it. */
export function requireRevocations({ sessions, ends, revocations }: Stored, holdings: readonly Holding[]): void {
  for (const { id, accessTokens } of holdings) {
    const latest = Math.max(...accessTokens.map(({ expiresAt }) => expiresAt));
    expect(latest, "an access token ends with its session").to.be.at.most(ends[id] ?? 0);
    if (sessions[id]?.ended) expect(revocations[id], "a revocation").to.be.at.least(latest + LEEWAY_MS);
    else expect(revocations, "revocations of live sessions").not.to.have.property(id);
  }
}

/**
 * Sees that nothing can be had for the tokens of an ended session, and that one process at least knows of it at once;
 * gives those that have yet to hear.
 */
export async function requireDead(services: readonly TestService[], holding: Holding): Promise<TestService[]> {
  const { refreshTokens, accessTokens } = holding;
  const options = bearer(accessTokens.at(-1)?.token ?? "");
  const refreshes = services.map(({ auth }) => auth.refreshToken({ refreshToken: refreshTokens.at(-1) ?? "" }));
  const reads = services.map(({ auth }) => auth.getMe({}, options));
  const refusals = await Promise.all([...refreshes, ...reads].map(refusalOf));
  expect(new Set(refusals), "answers to the tokens of an ended session").to.deep.equal(new Set(["INVALID_TOKEN"]));
  const aware = await Promise.all(services.map((service) => isKnownDead(service, holding)));
  expect(aware, "processes that know of the ending").to.include(true);
  return services.filter((_, index) => !aware[index]);
}

/** Whether a process refuses a session's newest access token even where it asks no database. */
export async function isKnownDead({ auth }: TestService, { accessTokens }: Holding): Promise<boolean> {
  const options = bearer(accessTokens.at(-1)?.token ?? "");
  return (await refusalOf(auth.listSessions({}, options))) === "INVALID_TOKEN";
}
