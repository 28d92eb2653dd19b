import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";

describe("the headers of gRPC calls that say the same", () => {
  it("leave no bytes outside of the heap, as the Node that runs this makes them", async () => {
    const program = fileURLToPath(new URL("support/held-values.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [program]);
    expect(Number(stdout)).to.be.below(0.1);
  });
});
