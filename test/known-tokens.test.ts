import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect } from "chai";
import { bearerOf } from "../src/token/bearer.ts";
import { createKnownTokens } from "../src/token/known-tokens.ts";
import type { AccessClaims } from "../src/token/strict-jwt.ts";
import { createTokenChecker } from "../src/token/token-checker.ts";
import { ISSUER, makeKey, mintWith } from "./support/fake-token-service.ts";

describe("the tokens that are remembered", () => {
  const known = (token: string) => ({ token, claims: {} as AccessClaims, kid: "" });
  const names = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => `t${first + i}`);

  it("are never more than the limit, and the newest of all", () => {
    const tokens = createKnownTokens(10, () => 0);
    for (const name of names(1, 1000)) {
      tokens.add(known(name));
      // Without finding them, which would make them younger.
      expect(tokens.size()).to.be.at.most(10);
    }
    expect(names(996, 1000).filter((name) => !tokens.find(name))).to.deep.equal([]);
  });

  it("stay while they are used, however many others come", () => {
    const tokens = createKnownTokens(10, () => 0);
    const used = known("used");
    tokens.add(used);
    for (const name of names(1, 100)) {
      tokens.add(known(name));
      expect(tokens.find("used"), name).to.equal(used);
    }
    expect(tokens.size()).to.be.at.most(10);
  });

  it("go when nobody has used them for two times five minutes, or when they are to be forgotten", () => {
    let time = 0;
    const tokens = createKnownTokens(10, () => time);
    for (const name of ["unused", "forgotten"]) tokens.add(known(name));
    tokens.forget("forgotten");
    expect(tokens.find("forgotten")).to.equal(undefined);
    for (const _ of [1, 2]) {
      time += 5 * 60_000 + 1;
      tokens.add(known("other"));
    }
    expect([tokens.find("unused"), tokens.size()]).to.deep.equal([undefined, 2]);
  });

  it("are only taken for what they are in every letter", () => {
    const tokens = createKnownTokens(10, () => 0);
    const end = "e".repeat(100);
    tokens.add(known(`a${end}`));
    expect([tokens.find(`b${end}`), tokens.find(end)]).to.deep.equal([undefined, undefined]);
    expect(tokens.find(`a${end}`)?.token).to.equal(`a${end}`);
  });

  it("hold nothing of the headers that they were cut out of", async () => {
    const key = await makeKey();
    const checker = createTokenChecker({
      ...{ keys: { find: () => key, reread: async () => {} }, issuer: ISSUER, audience: "latchkey" },
      ...{ leeway: 30, now: Date.now, remembered: 1_000 },
    });
    setFlagsFromString("--expose-gc");
    const collectGarbage: () => void = runInNewContext("gc");
    const heldBytes = () => {
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = heldBytes();
    for (let turn = 0; turn < 100; turn++) {
      const token = bearerOf(`Bearer ${" ".repeat(500_000)}${mintWith(key).token}`);
      expect(await checker.check(token ?? "")).to.be.an("object");
    }
    expect(heldBytes() - before).to.be.below(10_000_000);
  });

  it("are none where the limit is 0", () => {
    const tokens = createKnownTokens(0, () => 0);
    for (const name of names(1, 10)) tokens.add(known(name));
    expect(tokens.size()).to.equal(0);
  });
});
