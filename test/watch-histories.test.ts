import { expect } from "chai";
import fc from "fast-check";
import { type Pair, startPair } from "./support/pair.ts";
import { issueKey } from "./support/service-keys.ts";
import { histories, playHistory, type Stage } from "./support/watch-histories.ts";
import { startWatching, tokenClients } from "./support/watching.ts";

const HISTORIES = Number(process.env.HISTORIES ?? 200) / 5;
const SEED = 1;

describe("whoever watches revocations", () => {
  let pair: Pair;
  let stage: Stage;
  before(async () => {
    pair = await startPair();
    const { options } = await issueKey(pair.first, ["watch"]);
    const clients = [pair.first, pair.second].map((service) => Object.values(tokenClients(service)));
    let watches = 0;
    const watch: Stage["watch"] = (service, cursor) => {
      const client = clients[service]?.[watches++ % 4];
      if (!client) throw new Error("no such service");
      return startWatching(client, options, cursor);
    };
    stage = { database: pair.first.database, watch };
  });
  after(() => pair.stop());

  it("misses none, in whatever order they commit and however often one comes back to whichever process", async function () {
    this.timeout(HISTORIES * 5_000);
    const property = fc.asyncProperty(histories, async (steps) => {
      await stage.database.query("DELETE FROM revocations");
      expect(await playHistory(stage, steps)).to.deep.equal({ missed: [], false: [] });
    });
    await fc.assert(property, { numRuns: HISTORIES, seed: SEED, interruptAfterTimeLimit: HISTORIES * 4_000 });
  });
});
