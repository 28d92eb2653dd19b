import { expect } from "chai";
import type { Actor } from "./history-calls.ts";
import type { Holding } from "./history-holders.ts";
import { ACCESS_TTL, UNKNOWN, type World } from "./history-model.ts";
import type { Stored } from "./history-rows.ts";
import { bearer, refusalOf } from "./people.ts";
import type { TestService } from "./service.ts";

/** A verifier's clock may be behind by this much: for so long a revocation outlives the last token it names. */
const LEEWAY_MS = 30_000;

/** The worlds that are as the database is, to the row. */
export function requireAgreement(worlds: readonly World[], stored: Stored, actors: readonly Actor[]): World[] {
  const resolved = worlds.map((world) => withMailedResets(world, stored, actors));
  const expected = resolved.map(asStored);
  const actual = { sessions: stored.sessions, accounts: stored.accounts };
  const agreeing = resolved.filter((_, index) => isSame(expected[index], actual));
  if (agreeing.length === 0) expect(actual, "the rows are of no world that explains the answers").to.deep.equal(expected[0]);
  return agreeing;
}
