import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const PLACES = [".", "examples/connect-service"];

// Generates into a copy and compares: fails when a gen/ is not what the proto/ beside it makes.
const folder = mkdtempSync(join(tmpdir(), "latchkey-generated-"));
try {
  const names = PLACES.flatMap((place) => ["proto", "buf.yaml", "buf.gen.yaml"].map((name) => join(place, name)));
  for (const name of [...names, "package.json"]) cpSync(name, join(folder, name), { recursive: true });
  symlinkSync(resolve("node_modules"), join(folder, "node_modules"));
  for (const place of PLACES) {
    execFileSync(resolve("node_modules/.bin/buf"), ["generate"], { cwd: join(folder, place), stdio: "inherit" });
    execFileSync("diff", ["-r", join(place, "gen"), join(folder, place, "gen")], { stdio: "inherit" });
  }
} catch {
  process.stderr.write("a gen/ is not what its proto/ makes: run `npm run generate` and commit the result\n");
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
