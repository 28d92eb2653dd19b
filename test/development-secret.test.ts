import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { parseConfig } from "../src/config.ts";
import { loadDevelopmentSecret } from "../src/development-secret.ts";

describe("the development secret", () => {
  let dataDir: string;
  before(() => {
    dataDir = join(mkdtempSync(join(tmpdir(), "latchkey-test-")), "data");
  });
  after(() => rmSync(join(dataDir, ".."), { recursive: true }));

  it("is made once, though eight processes ask at once", async () => {
    const module = new URL("../src/development-secret.ts", import.meta.url).href;
    const script = `import { loadDevelopmentSecret } from ${JSON.stringify(module)};
      process.stdout.write(loadDevelopmentSecret(process.argv[1]).reveal());`;
    const ask = () => promisify(execFile)(process.execPath, ["--input-type=module", "-e", script, dataDir]);
    const answers = await Promise.all(Array.from({ length: 8 }, ask));
    const [secret = "", ...others] = new Set(answers.map(({ stdout }) => stdout));
    expect(others).to.deep.equal([]);
    expect(parseConfig({ SECRET_KEY: secret }).secretKey?.reveal()).to.equal(secret);
    expect(loadDevelopmentSecret(dataDir).reveal()).to.equal(secret);
  });

  it("is for its owner's eyes only, and the only thing left", () => {
    loadDevelopmentSecret(dataDir);
    expect(readdirSync(dataDir)).to.deep.equal(["secret-key"]);
    expect(statSync(join(dataDir, "secret-key")).mode & 0o777).to.equal(0o600);
  });

  it("is refused, and not made anew, when its file was emptied or holds something else", () => {
    const file = join(dataDir, "secret-key");
    for (const text of ["", "\n", "hunter2"]) {
      writeFileSync(file, text);
      expect(() => loadDevelopmentSecret(dataDir)).to.throw(`${file} does not hold a key`);
      expect(readFileSync(file, "utf8")).to.equal(text);
    }
  });
});
