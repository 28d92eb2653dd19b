import { AssertionError } from "node:assert";
import { isDeepStrictEqual } from "node:util";
import { expect } from "chai";
import type { Actor } from "./history-calls.ts";
import type { Holding } from "./history-holders.ts";
import { type Account, hasEnded, isActive, UNKNOWN, type World } from "./history-model.ts";
import type { Stored } from "./history-rows.ts";
import { bearer, refusalOf } from "./people.ts";
import type { TestService } from "./service.ts";

/** A verifier's clock may be behind by this much: so long a revocation outlives the last token it names. */
const LEEWAY_MS = 30_000;

/** The processes of one service. */
export type Processes = readonly [TestService, TestService];

/** The worlds that are as the database is, to the row; there is at least one. */
export function requireAgreement(worlds: readonly World[], stored: Stored, actors: readonly Actor[]): World[] {
  const known = worlds.map((world) => ({ ...world, accounts: world.accounts.map(withResetOf(stored, actors)) }));
  const rows = { sessions: stored.sessions, accounts: stored.accounts };
  const agreeing = known.filter((world) => isDeepStrictEqual(asStored(world), rows));
  if (agreeing.length > 0) return agreeing;
  const [expected] = known.map(asStored);
  const { message } = new AssertionError({ actual: rows, expected, operator: "deepStrictEqual" });
  throw new Error(`the rows are not what the answers make of them: ${message}`);
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
  const accounts = world.accounts.map(({ reset, deleted }, user) => ({
    ...{ deleted, active: isActive(world, user) },
    resets: reset && reset.expiresAt > world.now ? [reset.id] : [],
  }));
  // The rows of sessions go with their account.
  const kept = Object.entries(world.sessions).filter(([, { user }]) => !world.accounts[user]?.deleted);
  return { sessions: Object.fromEntries(kept), accounts };
}

/** Whatever access token a session gave: it ends with the session, and a revocation outlives it. */
export function requireRevocations(
  { ends, revocations }: Stored,
  sessions: World["sessions"],
  holdings: readonly Holding[],
): void {
  for (const { id, accessTokens } of holdings) {
    const latest = Math.max(...accessTokens.map(({ expiresAt }) => expiresAt));
    expect(latest, "an access token ends with its session").to.be.at.most(ends[id] ?? Number.POSITIVE_INFINITY);
    if (hasEnded(sessions[id])) expect(revocations[id], "a revocation").to.be.at.least(latest + LEEWAY_MS);
    else expect(revocations, "revocations of live sessions").not.to.have.property(id);
  }
}

/**
 * Sees that nothing can be had for the tokens of an ended session, and that one process at least knows of it at once;
 * gives those that have yet to hear.
 */
export async function requireDead(services: Processes, holding: Holding): Promise<TestService[]> {
  const refreshToken = holding.refreshTokens.at(-1) ?? "";
  const [refusals, aware] = await Promise.all([
    Promise.all([
      refusalOf(services[0].auth.refreshToken({ refreshToken })),
      refusalOf(services[1].auth.getMe({}, newestBearer(holding))),
    ]),
    Promise.all(services.map((service) => isKnownDead(service, holding))),
  ]);
  expect(refusals.join(), "answers to the tokens of an ended session").to.equal("INVALID_TOKEN,INVALID_TOKEN");
  expect(aware, "processes that know of the ending").to.include(true);
  return services.filter((_, index) => !aware[index]);
}

/** Whether a process refuses a session's newest access token even where it asks no database. */
export async function isKnownDead({ auth }: TestService, holding: Holding): Promise<boolean> {
  return (await refusalOf(auth.listSessions({}, newestBearer(holding)))) === "INVALID_TOKEN";
}

function newestBearer({ accessTokens }: Holding) {
  return bearer(accessTokens.at(-1)?.token ?? "");
}
