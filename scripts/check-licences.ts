import { readFileSync } from "node:fs";

/** Licences that let a service be run and passed on without its own source: SPDX identifiers. */
const COMPATIBLE = new Set([
  ...["0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0"],
  "Python-2.0",
]);

interface Installed {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

/** Of an SPDX expression without parentheses inside parentheses: one side of each OR, every part of each AND. */
function isCompatible(expression: string): boolean {
  const choices = expression.replace(/[()]/g, "").split(" OR ");
  return choices.some((choice) => choice.split(" AND ").every((licence) => COMPATIBLE.has(licence)));
}

const lock: { packages: Record<string, Installed> } = JSON.parse(readFileSync("package-lock.json", "utf8"));
const installed = Object.entries(lock.packages).filter(([path, { dev }]) => path !== "" && !dev);
const rows = installed.map(([path, { version = "", license = "none" }]) => ({
  name: `${path.replace(/^.*node_modules\//, "")} ${version}`,
  license,
}));

if (process.argv.includes("--list")) {
  const groups = Object.groupBy(rows, ({ license }) => license);
  for (const [license, members = []] of Object.entries(groups)) {
    process.stdout.write(`${license} (${members.length})\n${members.map(({ name }) => `  ${name}\n`).join("")}`);
  }
}
const refused = rows.filter(({ license }) => !isCompatible(license));
for (const { name, license } of refused)
  process.stderr.write(`${name}: licence ${license} is not among the known ones\n`);
if (refused.length > 0) process.exitCode = 1;
