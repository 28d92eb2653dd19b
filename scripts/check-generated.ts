import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

// Generates into a copy and compares: fails when gen/ is not what proto/ makes.
const folder = mkdtempSync(join(tmpdir(), "latchkey-generated-"));
try {
  for (const name of ["proto", "buf.yaml", "buf.gen.yaml", "package.json"])
    cpSync(name, join(folder, name), { recursive: true });
  symlinkSync(resolve("node_modules"), join(folder, "node_modules"));
  execFileSync(resolve("node_modules/.bin/buf"), ["generate"], { cwd: folder, stdio: "inherit" });
  execFileSync("diff", ["-r", "gen", join(folder, "gen")], { stdio: "inherit" });
} catch {
  process.stderr.write("gen/ is not what proto/ makes: run `npm run generate` and commit the result\n");
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
