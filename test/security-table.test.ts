import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect } from "chai";

const ROOT = resolve(import.meta.dirname, "..");
const AREAS = [
  ...["JWT", "identifiers", "passwords", "injection", "enumeration", "brute force", "overload", "sessions"],
  ...["authorisation", "protocol", "mail", "database", "start-up"],
];

/** One line of the table of cases in SECURITY.md. */
interface Row {
  readonly area: string;
  readonly file: string;
  readonly title: string;
}

describe("the table of cases in SECURITY.md", () => {
  const section = readSection();
  const rows = readTable(section);

  it("has rows of every area", () => {
    expect(new Set(rows.map(({ area }) => area).filter((area) => area !== ""))).to.deep.equal(new Set(AREAS));
    const lines = section.split("\n").filter((line) => line.startsWith("| "));
    expect(rows).to.have.length(lines.length - 1);
  });

  it("names tests that there are, by their whole titles", () => {
    const unknown = rows.filter(({ file, title }) => !titlesIn(file).some((known) => known.test(title)));
    expect(unknown).to.deep.equal([]);
  });
});

function readSection(): string {
  const [, section = ""] = readFileSync(resolve(ROOT, "SECURITY.md"), "utf8").split("\n## Cases\n");
  return section.split("\n## ", 1)[0] ?? "";
}

function readTable(section: string): Row[] {
  const lines = section.matchAll(/^\| ([^|]*) \| [^|]* \| `([\w-]+)` \| (.+) \|$/gm);
  return [...lines].map(([, area = "", file = "", title = ""]) => ({ area: area.trim(), file, title }));
}

/** The titles of a file's tests, in which any text may stand for what a table of the test puts in. */
function titlesIn(file: string): RegExp[] {
  const path = resolve(ROOT, `test/${file}.test.ts`);
  if (!existsSync(path)) return [];
  const titles = readFileSync(path, "utf8").matchAll(/\bit\(\s*(["'`])((?:\\.|(?!\1).)*)\1/gs);
  return [...titles].map(([, , title = ""]) => {
    const parts = title.replaceAll(/\\(.)/g, "$1").split(/\$\{[^}]*\}/);
    return new RegExp(`^${parts.map((part) => part.replaceAll(/[^\w ]/g, "\\$&")).join(".+")}$`);
  });
}
