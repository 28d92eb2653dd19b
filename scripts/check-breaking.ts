import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Compares proto/ with that of the commit before: fails on a change that breaks clients built against it.
const base = "HEAD~1";
const proto = spawnSync("git", ["archive", "--format=tar", base, "proto"], { maxBuffer: 64 * 1024 * 1024 });
if (proto.status !== 0) {
  process.stdout.write("no earlier proto/ to compare with\n");
} else {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-base-"));
  writeFileSync(join(folder, "base.tar"), proto.stdout);
  try {
    execFileSync("tar", ["-xf", "base.tar"], { cwd: folder });
    execFileSync("buf", ["breaking", "proto", "--against", join(folder, "proto")], { stdio: "inherit" });
  } catch {
    process.stderr.write(`proto/ breaks clients built against ${base}\n`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
